import type { AdapterContext, Delivery, Subscription } from '../adapter.ts'
import type { StandingSet } from '../standing.ts'
import type { Broadcasts } from './broadcasts.ts'
import { throughSeam } from './channels.ts'
import { declareWork } from './declare.ts'
import type { HeldCounts } from './held-counts.ts'
import type { Connected } from './lane.ts'
import type { Pauses } from './pauses.ts'
import type { Restore } from './restoring.ts'
import { createSubscription, type OwnSubscription } from './subscription.ts'
import type { WorkQueue } from './topology.ts'

/** The subscriptions of one adapter. */
export interface Consuming {
  consume(wanted: Wanted): Promise<Subscription>
  /** The session is gone. */
  loseAll(): void
}

interface Wanted {
  readonly queue: WorkQueue
  readonly prefetch: number
  readonly onDelivery: (delivery: Delivery) => void
}

export interface ConsumingParts {
  readonly context: AdapterContext
  readonly url: string
  readonly open: () => Connected
  readonly standings: StandingSet
  readonly restore: Restore
  readonly broadcasts: Broadcasts
  readonly pauses: Pauses
  readonly held: HeldCounts
  readonly guard: (what: string, run: () => void) => void
}

export function createConsuming(parts: ConsumingParts): Consuming {
  const { context, url, open, standings, restore, broadcasts, pauses, held, guard } = parts
  const { namespace, now, log } = context
  const subscriptions = new Set<OwnSubscription>()

  return {
    async consume({ queue, prefetch, onDelivery }) {
      /** What it listens to while it consumes, and until all is settled. */
      const untilStopped: (() => void)[] = []
      const untilDone: (() => void)[] = []
      const subscription: OwnSubscription = createSubscription({
        queue,
        prefetch,
        now,
        onDelivery: (delivery) => guard('onDelivery', () => onDelivery(delivery)),
        connected: open,
        async prepare(connected) {
          await declareWork(connected.session, namespace, queue, log)
          return { isPaused: await pauses.isPaused(connected, queue) }
        },
        standBy: (connected) => pauses.standBy(connected, queue),
        onJoined: () => broadcasts.send(joinedTopic(queue), new Uint8Array(0)),
        onBroken: (why) => restore(`the consumer of ${queue.name}`, standing, why),
        onStopped() {
          standings.remove(standing)
          callAll(untilStopped)
        },
        onDone() {
          subscriptions.delete(subscription)
          callAll(untilDone)
        },
      })
      const standing = { establish: () => throughSeam(url, () => subscription.establish()) }
      untilStopped.push(await pauses.watch(queue, (isPaused) => subscription.setQueuePaused(isPaused)))
      untilDone.push(await held.answer(queue, () => subscription.count()))
      if (queue.partitions.length > 0)
        untilStopped.push(await broadcasts.listen(joinedTopic(queue), () => subscription.share()))
      subscriptions.add(subscription)
      try {
        await standings.add(standing)
        return subscription
      } catch (error) {
        subscriptions.delete(subscription)
        callAll(untilStopped)
        callAll(untilDone)
        throw error
      }
    },
    loseAll() {
      for (const subscription of subscriptions) subscription.lose()
    },
  }
}

function joinedTopic({ name }: WorkQueue): string {
  return `joined.${name}`
}

function callAll(cleanups: (() => void)[]): void {
  for (const cleanup of cleanups.splice(0)) cleanup()
}
