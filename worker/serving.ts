import type { BrokerAdapter } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { createGrace, type Grace } from '../protocol/grace.ts'
import type { TimerWheel } from '../protocol/timer-wheel.ts'
import { createDeliveryLoop } from './delivery-loop.ts'
import { createDispatcher } from './dispatch.ts'
import { OVERRUN_GRACE_MS } from './attempt.ts'
import type { Limiter } from './limiter.ts'
import type { ResolvedWorkerOptions, WorkerTuning } from './options.ts'
import { createReplyAddressCheck } from './reply-addresses.ts'
import { createReplyOutbox } from './reply-outbox.ts'
import type { ServedQueue } from './served-queue.ts'
import { createStreamGrants } from './stream-grants.ts'
import type { WorkerCount } from './worker-counters.ts'
import type { WorkerParts } from './worker-parts.ts'

/** What runs between start and close: the loops of all queues. */
export interface Serving {
  /** Resolves when every queue is consumed. */
  start(): Promise<void>
  isConsuming(queue: ServedQueue): boolean
  /** At the broker, for all. */
  isPaused(queue: ServedQueue): boolean
  readonly isStuck: boolean
  /** Never rejects; takes at most the grace and two seconds. */
  drain(grace: Grace): Promise<void>
}

export interface ServingOptions {
  readonly core: BrokerCore
  readonly adapter: BrokerAdapter
  readonly queues: readonly ServedQueue[]
  readonly options: ResolvedWorkerOptions
  readonly limiter: Limiter
  readonly wheel: TimerWheel
  readonly count: (name: WorkerCount) => void
  readonly now: () => number
  readonly random: () => number
  readonly tuning: WorkerTuning
}

export function createServing(given: ServingOptions): Serving {
  const { core, adapter, wheel, count, queues, tuning } = given
  const limits = { replies: tuning.maxReplies, bytes: tuning.maxReplyBytes }
  const outbox = createReplyOutbox({ core, adapter, wheel, count, limits })
  const grants = createStreamGrants(adapter, core)
  const isReplyAddress = createReplyAddressCheck(core.namespace, given.options.replyAddresses)
  const parts: WorkerParts = { ...given, outbox, grants, isReplyAddress }
  const dispatcher = createDispatcher(parts, { queues, updateFlow })
  const loops = queues.map((queue) => createDeliveryLoop(queue, { parts, dispatcher }))

  return {
    async start() {
      for (const queue of queues) queue.lastDeliveryAt = core.clock.monotonic()
      if (queues.some(hasStreams)) await grants.open()
      await Promise.all(loops.map((loop) => loop.start()))
    },
    isConsuming: (queue) => loops.some((loop) => loop.queue === queue && loop.isConsuming),
    isPaused: (queue) => loops.some((loop) => loop.queue === queue && loop.isQueuePaused),
    get isStuck() {
      return dispatcher.isStuck
    },
    drain,
  }

  async function updateFlow(): Promise<void> {
    if (dispatcher.mayTake) for (const loop of loops) loop.resume()
    else await Promise.all(loops.map((loop) => loop.pause()))
  }

  /**
   * In this order: subscriptions stop · what has not begun goes back · held retries are stored · running handlers end, their
   * nested calls still work · their replies are stored · their deliveries are acked. When the grace is over, signals abort; a
   * second later what still runs is given to others. Then listeners go.
   */
  async function drain(grace: Grace): Promise<void> {
    const stopped = Promise.all(loops.map((loop) => loop.stop()))
    dispatcher.stopBeginning()
    const allSettled = stopped.then(() => Promise.all(queues.map((queue) => queue.calls.whenAtMost(0))))
    if (!(await grace.isEnoughFor(allSettled))) {
      dispatcher.abortRunning()
      if (!(await createGrace(OVERRUN_GRACE_MS).isEnoughFor(allSettled)))
        await createGrace(OVERRUN_GRACE_MS).isEnoughFor(dispatcher.abandonRunning())
    }
    outbox.close()
    await grants.close()
    for (const loop of loops) loop.close()
  }
}

function hasStreams({ methods }: ServedQueue): boolean {
  return [...methods.values()].some(({ facts }) => facts.kind === 'stream')
}
