import type { AdapterFactory } from '../broker-adapters/adapter.ts'
import type { Broker } from '../broker-adapters/broker.ts'
import { openBroker } from '../broker-adapters/connect.ts'
import { refuseConnectOptions } from '../broker-adapters/connect-options.ts'
import { assertService, queueOf } from '../contract/service-facts.ts'
import { createCounters } from '../protocol/counters.ts'
import { ConfigError, messageOf } from '../protocol/errors.ts'
import { closeOnce, type Grace } from '../protocol/grace.ts'
import { queueName } from '../protocol/queue-names.ts'
import { createTimerWheel } from '../protocol/timer-wheel.ts'
import { collectHandlers } from './handlers.ts'
import { createHeldCalls } from './held-calls.ts'
import { createLimiter } from './limiter.ts'
import { createEnd } from './end.ts'
import {
  checkedGraceMs,
  resolveServeOptions,
  resolveWorkerOptions,
  WORKER_TUNING,
  WORKER_DEFAULTS,
  type ResolvedWorkerOptions,
  type WorkerTuning,
} from './options.ts'
import type { ServedQueue } from './served-queue.ts'
import { createServing, type Serving } from './serving.ts'
import { listenForStop } from './stop-signals.ts'
import { createTombstones } from './tombstones.ts'
import type { CreateWorkerOptions, Worker, WorkerHealth } from './types.ts'

/**
 * A worker for services of one group.
 *
 * @param target a Broker from `connect()`, which it shares; or a URL or factory, and then it opens and closes its own broker,
 *   dialling in the background. @default REPLYTO_URL, else `file:./.replyto`
 * @throws ConfigError for a bad URL or option, or an option of `connect` beside a shared broker.
 */
export function createWorker(target?: Broker | AdapterFactory | string, options: CreateWorkerOptions = {}): Worker {
  const resolved = resolveWorkerOptions(options)
  if (!isBroker(target)) return buildWorker({ broker: openBroker(target, options), isOwned: true, options: resolved })
  refuseConnectOptions('worker', options)
  return buildWorker({ broker: target, isOwned: false, options: resolved })
}

export interface WorkerSetup {
  readonly broker: Broker
  /** Closed with the worker. */
  readonly isOwned: boolean
  readonly options: ResolvedWorkerOptions
  /** Epoch ms. @default the clock of the broker */
  readonly now?: () => number
  /** @default Math.random */
  readonly random?: () => number
  /** Shortened by tests. @default WORKER_TUNING */
  readonly tuning?: Partial<WorkerTuning>
}

export function buildWorker(setup: WorkerSetup): Worker {
  const { broker, isOwned, options, random = Math.random } = setup
  const core = broker['~core']
  const { now = core.clock.now } = setup
  const counters = createCounters()
  const limiter = createLimiter(options.concurrency)
  const wheel = createTimerWheel({ clock: core.clock })
  const queues: ServedQueue[] = []
  const end = createEnd()
  let serving: Serving | undefined
  let starting: Promise<Worker> | undefined
  let isClosing = false
  const closeWithin = closeOnce(WORKER_DEFAULTS.graceMs, close)
  const detach = core.attach('worker', ({ graceMs }) => closeWithin(graceMs))

  const worker: Worker = {
    serve(service, handlers, serveOptions = {}) {
      assertService(service)
      if (starting !== undefined || isClosing)
        throw new ConfigError(`serve('${service.name}', …) comes after start(): serve everything first`)
      const ref = queueOf(service, options.group)
      const name = queueName(core.namespace, ref)
      if (queues.some((queue) => queue.name === name))
        throw new ConfigError(`service '${service.name}' ${ref.major} is served already by this worker`)
      const resolved = resolveServeOptions(service, serveOptions)
      queues.push({
        ref,
        name,
        version: service.version,
        methods: collectHandlers(service, handlers, { limiter, options: resolved }),
        calls: createHeldCalls(),
        tombstones: createTombstones(now),
        running: 0,
        lastDeliveryAt: core.clock.monotonic(),
      })
      return worker
    },
    start() {
      starting ??= begin()
      return starting
    },
    run,
    counters: counters.counts,
    health,
    // Not async: wrong options are told at once, and every caller gets the same promise.
    close: ({ graceMs } = {}) => closeWithin(checkedGraceMs(graceMs)),
    [Symbol.asyncDispose]: () => closeWithin(),
  }
  return worker

  function begin(): Promise<Worker> {
    const started = open()
    // Who ignores the promise still finds the reason.
    started.catch((error: unknown) => {
      if (!isClosing) core.log('error', 'WORKER_START', `the worker did not start: ${messageOf(error)}`)
    })
    return started
  }

  async function open(): Promise<Worker> {
    if (queues.length === 0)
      throw new ConfigError('the worker serves nothing: call serve(service, handlers) before start()')
    const patience = setTimeout(
      () => core.log('warn', 'WORKER_WAITS', `the worker waits for ${core.url}, which is away`),
      core.connectTimeoutMs,
    )
    try {
      const adapter = await end.orBefore(core.adapter)
      serving = createServing({
        core,
        adapter,
        queues,
        options,
        limiter,
        wheel,
        count: (name) => counters.add(name),
        now,
        random,
        tuning: { ...WORKER_TUNING, ...setup.tuning },
      })
      await end.orBefore(serving.start())
      return worker
    } finally {
      clearTimeout(patience)
    }
  }

  async function run(): Promise<void> {
    const stopListening = listenForStop(() => void closeWithin())
    try {
      await worker.start()
      await end.closed
    } catch (error) {
      if (isClosing) return await closeWithin()
      await closeWithin(0)
      throw error
    } finally {
      stopListening()
    }
  }

  /** The loops first, then the shared parts, then, if it is ours, the broker. */
  async function close(grace: Grace): Promise<void> {
    isClosing = true
    end.begin()
    await serving?.drain(grace)
    wheel.close()
    detach()
    if (isOwned) await closeBroker()
    end.complete()
  }

  async function closeBroker(): Promise<void> {
    try {
      await broker.close({ graceMs: 0 })
    } catch (error) {
      core.log('warn', 'CLOSE', `${core.url} did not close: ${messageOf(error)}`)
    }
  }

  function health(): WorkerHealth {
    const state = stateNow()
    const at = core.clock.monotonic()
    return {
      state,
      queues: queues.map((queue) => ({
        service: queue.ref.service,
        group: queue.ref.group,
        consuming:
          (state === 'consuming' || core.state === 'blocked') &&
          serving?.isStuck === false &&
          serving.isConsuming(queue) &&
          !serving.isPaused(queue),
        running: queue.running,
        held: queue.calls.all().filter((call) => call.running === undefined).length,
        idleMs: Math.round(at - queue.lastDeliveryAt),
      })),
    }
  }

  function isConsumingAll(loops: Serving): boolean {
    return queues.every((queue) => loops.isConsuming(queue))
  }

  function stateNow(): WorkerHealth['state'] {
    if (end.isComplete) return 'closed'
    if (isClosing) return 'draining'
    const loops = serving
    if (loops === undefined || !isConsumingAll(loops)) return 'starting'
    if (core.state === 'blocked' || loops.isStuck) return 'blocked'
    if (core.state !== 'up') return 'starting'
    return queues.every((queue) => loops.isPaused(queue)) ? 'paused' : 'consuming'
  }
}

function isBroker(target: Broker | AdapterFactory | string | undefined): target is Broker {
  return typeof target === 'object' && target !== null && '~core' in target
}
