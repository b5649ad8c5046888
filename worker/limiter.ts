/** Methods that share a limit of their own. */
export interface Lane {
  readonly limit: number
  running: number
  /** In the order of their arrival. */
  readonly waiting: Set<Waiting>
}

interface Waiting {
  readonly order: number
  readonly begin: () => void
}

/** Who may run a handler: at most `concurrency` at once, and at most a lane's limit of that lane. */
export interface Limiter {
  /** For methods without a limit of their own. */
  readonly common: Lane
  lane(limit: number): Lane
  /** Calls `begin` when a slot is free, perhaps at once. Returns the function that gives up the place in the line. */
  wait(lane: Lane, begin: () => void): () => void
  /** The slot that `begin` was given is free again. */
  free(lane: Lane): void
  readonly isFull: boolean
}

/** First come, first served, but a lane that is full lets the others pass. */
export function createLimiter(concurrency: number): Limiter {
  const lanes: Lane[] = []
  let running = 0
  let arrived = 0
  let isHandingOut = false
  const common = addLane(concurrency)

  return {
    common,
    lane: addLane,
    get isFull() {
      return running >= concurrency
    },
    wait(lane, begin) {
      const waiting: Waiting = { order: arrived++, begin }
      lane.waiting.add(waiting)
      handOut()
      return () => lane.waiting.delete(waiting)
    },
    free(lane) {
      running--
      lane.running--
      handOut()
    },
  }

  function addLane(limit: number): Lane {
    const lane = { limit, running: 0, waiting: new Set<Waiting>() }
    lanes.push(lane)
    return lane
  }

  /** A `begin` may free its slot at once: the loop that runs already sees it. */
  function handOut(): void {
    if (isHandingOut) return
    isHandingOut = true
    try {
      while (running < concurrency) {
        const lane = longestWaiting()
        const first = lane?.waiting.values().next().value
        if (lane === undefined || first === undefined) return
        lane.waiting.delete(first)
        lane.running++
        running++
        first.begin()
      }
    } finally {
      isHandingOut = false
    }
  }

  function longestWaiting(): Lane | undefined {
    let best: Lane | undefined
    let lowest = Infinity
    for (const lane of lanes) {
      if (lane.running >= lane.limit) continue
      const order = lane.waiting.values().next().value?.order ?? Infinity
      if (order < lowest) {
        lowest = order
        best = lane
      }
    }
    return best
  }
}
