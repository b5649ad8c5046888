import { isDenied, isStale, nameOfError, shortOf } from './failures.ts'
import type { Fetched, Place, Position, TopicFacts, Wire } from './wire.ts'

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
  /** Its topic was deleted; it may have been made again. Reading it goes on when the owner wants it to. */
  readonly onGone: (place: Place) => void
  /** It does not work; it is tried again. `error`: trying again will not do. */
  readonly onTrouble: (level: 'debug' | 'error', reason: string) => void
}

const MAX_BYTES = 8 * 1024 * 1024
const AGAIN_MS = 100
const NOT_KNOWN: TopicFacts = { partitions: 0, leaders: [] }

export function createReading({ wire, wanted, onFetched, onOutOfRange, onGone, onTrouble }: ReadingOptions): Reading {
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
        const facts = await wire.topic(position.topic)
        if (facts === undefined) {
          gone(position)
          continue
        }
        const leader = facts.leaders[position.partition] ?? -1
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
      for (const fetched of all) take(leader, fetched)
      void turn()
    } catch (error) {
      busy.delete(leader)
      for (const { topic } of positions) wire.forget(topic) // somebody else may lead by now
      // Of its own kind of compression, for one: no other try will read it.
      const isLasting = nameOfError(error) === 'KafkaJSNotImplemented'
      trouble(isLasting ? shortOf(error) : nameOfError(error), isLasting ? 'error' : 'debug')
    }
  }

  function take(leader: number, fetched: Fetched): void {
    const { error } = fetched
    if (error === undefined) return onFetched(fetched)
    if (error === 'OFFSET_OUT_OF_RANGE') return onOutOfRange(fetched)
    if (isStale(error)) wire.forget(fetched.topic)
    if (error === 'UNKNOWN_TOPIC_OR_PARTITION') void judgeMissing(leader, fetched)
    trouble(error, isDenied(error) ? 'error' : 'debug')
  }

  /** A node that leads a partition knows it: if it does not, that was another one, of a topic that was deleted. */
  async function judgeMissing(leader: number, place: Place): Promise<void> {
    const facts = await wire.topic(place.topic).catch(() => NOT_KNOWN)
    if (facts === undefined || facts.leaders[place.partition] === leader) gone(place)
  }

  function gone({ topic, partition }: Place): void {
    if (!isOver) onGone({ topic, partition })
  }

  function trouble(reason: string, level: 'debug' | 'error' = 'debug'): void {
    if (isOver) return
    onTrouble(level, reason)
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
