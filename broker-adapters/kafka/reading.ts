import { isStale, nameOfError } from './failures.ts'
import type { Fetched, Place, Position, Wire } from './wire.ts'

/** What is read now, and how patiently. */
export interface Wanted {
  readonly positions: readonly Position[]
  /** How long a fetch that finds nothing waits, ms: short while something is left out that may be wanted again soon. */
  readonly waitMs: number
}

/** Fetches for as long as it is open, one request at a time from each node. */
export interface Reading {
  /** What is wanted has changed. */
  wake(): void
  end(): void
}

interface ReadingOptions {
  readonly wire: Wire
  readonly wanted: () => Wanted
  readonly onFetched: (fetched: Fetched) => void
  /** What is read from there begins later, or ends before. */
  readonly onOutOfRange: (place: Place) => void
  /** It does not work; it is tried again. */
  readonly onTrouble: (reason: string) => void
}

const MAX_BYTES = 8 * 1024 * 1024
const AGAIN_MS = 100

export function createReading({ wire, wanted, onFetched, onOutOfRange, onTrouble }: ReadingOptions): Reading {
  const busy = new Set<number>()
  let isOver = false
  let isTurning = false
  let isWoken = false
  let again: NodeJS.Timeout | undefined

  async function turn(): Promise<void> {
    if (isTurning) {
      isWoken = true
      return
    }
    isTurning = true
    do {
      isWoken = false
      const { positions, waitMs } = wanted()
      for (const [leader, mine] of await byLeader(positions)) {
        if (isOver || busy.has(leader)) continue
        busy.add(leader)
        void fetch(leader, mine, waitMs)
      }
    } while (isWoken && !isOver)
    isTurning = false
  }

  /** Without those that nobody leads now, which are looked for again in a moment. */
  async function byLeader(positions: readonly Position[]): Promise<ReadonlyMap<number, readonly Position[]>> {
    const led = new Map<number, Position[]>()
    for (const position of positions) {
      try {
        const leader = (await wire.topic(position.topic))?.leaders[position.partition] ?? -1
        const others = led.get(leader)
        if (others === undefined) led.set(leader, [position])
        else others.push(position)
      } catch (error) {
        trouble(nameOfError(error))
      }
    }
    if (led.delete(-1)) trouble('a partition has no leader')
    return led
  }

  async function fetch(leader: number, positions: readonly Position[], waitMs: number): Promise<void> {
    try {
      const all = await wire.fetch(leader, positions, { waitMs, maxBytes: MAX_BYTES })
      busy.delete(leader)
      if (isOver) return
      for (const fetched of all) take(fetched)
      void turn()
    } catch (error) {
      busy.delete(leader)
      for (const { topic } of positions) wire.forget(topic) // somebody else may lead by now
      trouble(nameOfError(error))
    }
  }

  function take(fetched: Fetched): void {
    const { error } = fetched
    if (error === undefined) return onFetched(fetched)
    if (error === 'OFFSET_OUT_OF_RANGE') return onOutOfRange(fetched)
    if (isStale(error)) wire.forget(fetched.topic)
    trouble(error)
  }

  function trouble(reason: string): void {
    if (isOver) return
    onTrouble(reason)
    again ??= setTimeout(() => {
      again = undefined
      void turn()
    }, AGAIN_MS)
  }

  return {
    wake: () => void turn(),
    end() {
      isOver = true
      clearTimeout(again)
    },
  }
}
