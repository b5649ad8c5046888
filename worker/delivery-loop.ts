import type { Subscription } from '../broker-adapters/adapter.ts'
import { parseCancel } from '../protocol/cancel-message.ts'
import { cancelTopic, helloTopic } from '../protocol/queue-names.ts'
import type { Dispatcher } from './dispatch.ts'
import { describeThrown, stackOf } from './failures.ts'
import type { ServedQueue } from './served-queue.ts'
import { watchForSilence, type SilenceWatch } from './silence-watch.ts'
import type { WorkerParts } from './worker-parts.ts'

/** One queue's way into the worker. */
export interface DeliveryLoop {
  readonly queue: ServedQueue
  /** A subscription is there, it was not stopped, and it gets what waits. */
  readonly isConsuming: boolean
  /** At the broker, for all. */
  readonly isQueuePaused: boolean
  /** Resolves when consuming; waits while the broker is away. */
  start(): Promise<void>
  /** Resolves when nothing more is on its way here; never rejects. */
  pause(): Promise<void>
  resume(): void
  /** Takes nothing more; cancels are still heard. Never rejects. */
  stop(): Promise<void>
  close(): void
}

/** Cancels are heard before the first delivery, and clients repeat theirs at each hello. */
export function createDeliveryLoop(
  queue: ServedQueue,
  { parts, dispatcher }: { readonly parts: WorkerParts; readonly dispatcher: Dispatcher },
): DeliveryLoop {
  const { adapter, core } = parts
  const cleanups: (() => void)[] = []
  let subscription: Subscription | undefined
  let watch: SilenceWatch | undefined
  let isPaused = false
  let isStopped = false
  let isClosed = false

  return {
    queue,
    get isConsuming() {
      return subscription !== undefined && !isStopped && watch?.isSilent !== true
    },

    get isQueuePaused() {
      return watch?.isQueuePaused === true
    },

    async start() {
      await adapter.declare(queue.ref)
      addCleanup(await adapter.onBroadcast(cancelTopic(queue.name), onCancel))
      await consume()
      watch = watchForSilence(parts, {
        queue,
        isOpen: () => subscription !== undefined && !isPaused && !isStopped,
        isStarved: async () => (await subscription?.isStarved()) ?? false,
        isPaused: async () => (await subscription?.isQueuePaused()) ?? false,
        rebuild,
      })
      addCleanup(() => watch?.close())
      addCleanup(core.onState((state) => state === 'up' && sayHello()))
      sayHello()
    },
    async pause() {
      isPaused = true
      await pauseQuietly(subscription)
    },
    resume() {
      isPaused = false
      quietly(() => subscription?.resume())
    },
    async stop() {
      isStopped = true
      if (subscription !== undefined) await stopQuietly(subscription)
    },
    close() {
      isClosed = true
      for (const cleanup of cleanups.splice(0)) quietly(cleanup)
    },
  }

  async function consume(): Promise<void> {
    const { prefetch } = parts.options
    const opened = await adapter.consume(queue.ref, { prefetch }, (delivery) => dispatcher.accept(queue, delivery))
    subscription = opened
    if (isPaused) await pauseQuietly(opened)
    if (isStopped) await stopQuietly(opened)
  }

  /** What the old one handed over stays held and can be settled. */
  async function rebuild(): Promise<void> {
    const silent = subscription
    subscription = undefined
    if (silent !== undefined) await stopQuietly(silent)
    await consume()
  }

  function addCleanup(cleanup: () => void): void {
    if (isClosed) quietly(cleanup)
    else cleanups.push(cleanup)
  }

  function onCancel(body: Uint8Array): void {
    try {
      const message = parseCancel(body)
      if (message !== undefined) dispatcher.cancel(queue, message)
    } catch (error) {
      core.log('error', 'WORKER_BUG', `a cancel for ${queue.name} failed inside the worker: ${stackOf(error)}`)
    }
  }

  function sayHello(): void {
    if (!isStopped) quietly(() => adapter.broadcast(helloTopic(queue.name), NOTHING))
  }

  async function pauseQuietly(opened: Subscription | undefined): Promise<void> {
    try {
      await opened?.pause()
    } catch (error) {
      core.log('warn', 'SUBSCRIPTION', `the subscription to ${queue.name} did not pause: ${describeThrown(error)}`)
    }
  }

  async function stopQuietly(opened: Subscription): Promise<void> {
    try {
      await opened.stop()
    } catch (error) {
      core.log('warn', 'SUBSCRIPTION', `the subscription to ${queue.name} did not stop: ${describeThrown(error)}`)
    }
  }

  function quietly(act: () => void): void {
    try {
      act()
    } catch (error) {
      core.log('debug', 'SUBSCRIPTION', `${queue.name}: ${describeThrown(error)}`)
    }
  }
}

const NOTHING = new Uint8Array(0)
