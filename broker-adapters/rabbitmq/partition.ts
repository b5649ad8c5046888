import { countsOf } from './channels.ts'
import { openConsumer, type ConsumerChannel } from './consumer-channel.ts'
import type { Source, SourceOptions } from './lane.ts'
import { createTenure, type Tenure } from './partition-tenure.ts'

/**
 * How many messages of a partition its owner has, all unsettled: so many of one slow key may wait before the other keys of
 * its partition wait too. The same in every process: an owner takes at once all that the one before it gave back, or what it
 * left would come behind what it took.
 */
export const PARTITION_PREFETCH = 256

/**
 * One of several lines of keys. The server gives it to one consumer at a time, its owner, which has the messages of a key
 * taken one after the other.
 *
 * Unlike a lane, `close` leaves the consumer in place until the core has settled what it has: the server would give the
 * partition to another one, and with it the next messages of those keys. It resolves when nothing is offered any more.
 */
export function createPartition(options: SourceOptions): Source {
  const { name, onBroken } = options
  let current: { readonly consumer: ConsumerChannel; readonly tenure: Tenure } | undefined
  let isLeaving = false

  /** Resolves when the next one can have it. */
  async function leave(): Promise<void> {
    const leaving = current
    if (!isLeaving || leaving === undefined || !leaving.tenure.isIdle) return
    current = undefined
    leaving.tenure.lose() // its timers
    await leaving.consumer.close()
  }

  return {
    get size() {
      return current?.tenure.size ?? 0
    },
    async open({ session, storing }) {
      isLeaving = false
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
      const tenure = createTenure({ ...options, consumer, storing, onIdle: () => void leave() })
      current = { consumer, tenure }
      consumer.start((raw) => tenure.take(raw))
    },
    async close() {
      isLeaving = true
      await current?.tenure.pause()
      await leave()
    },
    lose() {
      current?.consumer.end()
    },
    async isStarved({ session }) {
      if (current === undefined || !current.tenure.isOwner || current.tenure.size > 0) return false
      return ((await countsOf(session, name))?.ready ?? 0) > 0
    },
  }
}
