import { countsOf } from './channels.ts'
import { openConsumer, type ConsumerChannel } from './consumer-channel.ts'
import { shortOf } from './failures.ts'
import type { Connected, Source, SourceOptions } from './lane.ts'
import { createTenure, type Tenure } from './partition-tenure.ts'

/**
 * How many messages of a partition its owner has, all unsettled: so many of one slow key may wait before the other keys of
 * its partition wait too. The same in every process: an owner takes at once all that the one before it gave back, or what it
 * left would come behind what it took.
 */
export const PARTITION_PREFETCH = 256

/** A source that one process of all has at a time. */
export interface Partition extends Source {
  /** The server has chosen this one. */
  readonly isOwned: boolean
  /** Lets the next one in the line have it, as soon as the core has settled what it has of it. Never rejects. */
  stepAside(connected: Connected): Promise<void>
}

export interface PartitionOptions extends SourceOptions {
  readonly onOwner: () => void
}

/**
 * One of several lines of keys. The server gives it to one consumer at a time, its owner, which has the messages of a key
 * taken one after the other.
 *
 * Unlike a lane, `close` leaves the consumer in place until the core has settled what it has: the server would give the
 * partition to another one, and with it the next messages of those keys. It resolves when nothing is offered any more.
 */
export function createPartition(options: PartitionOptions): Partition {
  const { queue, name, onBroken, onOwner } = options
  let current: { readonly consumer: ConsumerChannel; readonly tenure: Tenure } | undefined
  let isLeaving = false
  /** It only lets others go first, and stands in the line behind them then. */
  let comesBack: Connected | undefined

  /** Resolves when the next one can have it. */
  async function leave(): Promise<void> {
    const leaving = current
    if (!isLeaving || leaving === undefined || !leaving.tenure.isIdle) return
    current = undefined
    leaving.tenure.lose() // its timers
    await leaving.consumer.close()
    const connected = comesBack
    comesBack = undefined
    if (connected !== undefined) await open(connected)
  }

  /** Only if somebody stands in the line: the server would give it back here. */
  async function stepAside(connected: Connected): Promise<void> {
    const { session } = connected
    try {
      // Those of the lane, as of a partition the server counts only its owner.
      if (((await countsOf(session, queue.name))?.consumers ?? 0) < 2) return
      if (isLeaving || current === undefined) return
      isLeaving = true
      comesBack = connected
      await current.tenure.pause()
      await leave()
    } catch (error) {
      if (session.isOpen) onBroken(shortOf(error))
    }
  }

  async function open(connected: Connected): Promise<void> {
    const { session, storing } = connected
    isLeaving = false
    comesBack = undefined
    if (current !== undefined) return current.tenure.resume()
    const consumer = await openConsumer({
      session,
      queue: name,
      prefetch: PARTITION_PREFETCH,
      onOver(why, over) {
        if (current?.consumer !== over) return
        const { tenure } = current
        current = undefined
        tenure.lose()
        if (session.isOpen && !isLeaving) onBroken(why)
      },
    })
    const tenure = createTenure({
      ...options,
      consumer,
      storing,
      onIdle: () => void leave().catch((error: unknown) => session.isOpen && onBroken(shortOf(error))),
      onOwner,
      onGivenBack: () => void stepAside(connected),
    })
    current = { consumer, tenure }
    consumer.start((raw) => tenure.take(raw))
  }

  return {
    get isOwned() {
      return current !== undefined && !isLeaving && current.tenure.isOwner
    },
    stepAside,
    get size() {
      return current?.tenure.size ?? 0
    },
    open,
    async close() {
      isLeaving = true
      comesBack = undefined
      await current?.tenure.pause()
      await leave()
    },
    lose() {
      comesBack = undefined
      current?.consumer.end()
    },
    async isStarved({ session }) {
      if (current === undefined || !current.tenure.isOwner || current.tenure.size > 0) return false
      return ((await countsOf(session, name))?.ready ?? 0) > 0
    },
  }
}
