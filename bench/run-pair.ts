import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { amqpNames, removeAmqp } from './amqp-leftovers.ts'
import type { LoopFigures } from './driver.ts'
import type { BenchOptions } from './options.ts'
import { QUEUES } from './ours.ts'
import { startSide, type Side } from './processes.ts'
import { removeRedis } from './redis-leftovers.ts'
import type { Command } from './side.ts'
import { isAmqp, isRedis, type Place, type SubjectName } from './subject.ts'

export const CALL_LOADS = [
  { name: 'W1', outstanding: 1 },
  { name: 'W2', outstanding: 64 },
  { name: 'W3', outstanding: 1_000 },
] as const
/** W5: so many calls outstanding, each of a key of its own, beside as many without. */
export const KEYS = 10_000
const SENDS_OUTSTANDING = 1_000
/** Before the first load, so that what is measured is compiled; and before each load. */
const FIRST_WARM_UP = { do: 'call', outstanding: 64, limitMs: 1_500 } as const
const WARM_UP_MS = 500
const WARM_UP_SENDS = 5_000
const W4_LIMIT_MS = 60_000

export interface CallFigures extends LoopFigures {
  readonly callsPerS: number
  /** Client and worker, all threads, per 1,000 calls. */
  readonly cpuSecondsPer1000: number
}

export interface QueueFigures {
  readonly sends: number
  readonly errors: number
  readonly enqueuePerS: number
  readonly drainPerS: number
  /** Enqueue and drain, client and worker, per 1,000 sends. */
  readonly cpuSecondsPer1000: number
}

/** The same number of calls outstanding, first without keys, then with. */
export interface KeyFigures {
  readonly unkeyed: CallFigures
  readonly keyed: CallFigures
}

/** What one fresh pair of processes did in one run. W4 is missing where nothing can be queued. */
export interface PairFigures {
  readonly calls: Readonly<Record<string, CallFigures>>
  readonly queue?: QueueFigures
  /** Only of the library. */
  readonly keys?: KeyFigures
}

/** Measures one subject once: W1 to W3 with one pair of processes, W4 and W5 with others; directories of their own. */
export async function runPair(subject: SubjectName, baseDir: string, options: BenchOptions): Promise<PairFigures> {
  const { loads } = options
  const hasCalls = CALL_LOADS.some(({ name }) => loads.has(name))
  const calls = hasCalls ? await inFreshPlace(subject, baseDir, options, measureCalls) : {}
  const hasQueue = subject !== 'tcp' && loads.has('W4')
  const hasKeys = subject === 'replyto' && loads.has('W5')
  return {
    calls,
    ...(hasQueue && { queue: await inFreshPlace(subject, baseDir, options, measureQueue) }),
    ...(hasKeys && { keys: await inFreshPlace(subject, baseDir, options, measureKeys) }),
  }
}

type LoopCommand = Extract<Command, { readonly outstanding: number }>

interface Pair {
  readonly subject: SubjectName
  readonly place: Place
  readonly client: Side
  /** The same process as the client's where the broker lives in one process. */
  readonly worker: Side
}

async function inFreshPlace<T>(
  subject: SubjectName,
  baseDir: string,
  options: BenchOptions,
  measure: (pair: Pair, options: BenchOptions) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(baseDir, 'p-'))
  const isOneProcess = subject === 'replyto' && options.broker.startsWith('memory:')
  const broker = options.broker === 'file:' ? `file:${dir}` : options.broker
  const namespace = `bench-${randomBytes(4).toString('hex')}`
  const client = startSide(options.nodeArgs)
  const worker = isOneProcess ? client : startSide(options.nodeArgs)
  try {
    return await measure({ subject, place: { dir, broker, namespace }, client, worker }, options)
  } finally {
    if (worker !== client) await worker.end()
    await client.end()
    await rm(dir, { recursive: true, force: true })
    if (subject === 'replyto' && isAmqp(broker)) await removeAmqp(broker, amqpNames(namespace, QUEUES))
    if (isRedis(broker)) await removeRedis(broker, namespace)
  }
}

async function measureCalls(pair: Pair, { seconds, loads }: BenchOptions): Promise<Record<string, CallFigures>> {
  const { subject, place, client, worker } = pair
  await worker.ask({ do: 'startWorker', subject, place })
  await client.ask({ do: 'startClient', subject, place })
  await client.ask(FIRST_WARM_UP)
  const figures: Record<string, CallFigures> = {}
  for (const { name, outstanding } of CALL_LOADS) {
    if (!loads.has(name)) continue
    await client.ask({ do: 'call', outstanding, limitMs: WARM_UP_MS })
    figures[name] = await measureLoop(pair, { do: 'call', outstanding, limitMs: seconds * 1000 })
  }
  return figures
}

async function measureLoop(pair: Pair, load: LoopCommand): Promise<CallFigures> {
  const cpuBefore = await cpuOf(pair)
  const { figures: loop } = await pair.client.ask(load, load.limitMs + 30_000)
  const cpuSeconds = (await cpuOf(pair)) - cpuBefore
  if (loop === undefined) throw new Error(`${pair.subject} ${load.do}, ${load.outstanding} outstanding: no figures`)
  return {
    ...loop,
    callsPerS: perSecond(loop.calls, loop.elapsedMs),
    cpuSecondsPer1000: (cpuSeconds / loop.calls) * 1000,
  }
}

/** One after the other in the same pair of processes, after some to warm up. */
async function measureKeys(pair: Pair, { seconds }: BenchOptions): Promise<KeyFigures> {
  const { subject, place, client, worker } = pair
  await worker.ask({ do: 'startWorker', subject, place })
  await client.ask({ do: 'startClient', subject, place })
  const load = { outstanding: KEYS, limitMs: seconds * 1000 }
  for (const kind of ['call', 'callKeyed'] as const)
    await client.ask({ do: kind, ...load, limitMs: WARM_UP_MS }, 60_000)
  const unkeyed = await measureLoop(pair, { do: 'call', ...load })
  return { unkeyed, keyed: await measureLoop(pair, { do: 'callKeyed', ...load }) }
}

/** 50,000 durable sends, after some to warm up, while nobody consumes; then a worker takes them. The drain's time begins with the worker's start. */
async function measureQueue(pair: Pair, options: BenchOptions): Promise<QueueFigures> {
  const { subject, place, client, worker } = pair
  await client.ask({ do: 'startClient', subject, place })
  const warmUp = { do: 'send', outstanding: SENDS_OUTSTANDING, limitMs: W4_LIMIT_MS, count: WARM_UP_SENDS } as const
  const { figures: before } = await client.ask(warmUp, W4_LIMIT_MS + 30_000)
  const cpuBefore = await cpuOf(pair)
  const load = { do: 'send', outstanding: SENDS_OUTSTANDING, limitMs: W4_LIMIT_MS, count: options.sends } as const
  const { figures } = await client.ask(load, W4_LIMIT_MS + 30_000)
  if (figures === undefined || before === undefined) throw new Error(`${subject} W4: no figures`)
  const stored = before.calls + figures.calls
  const started = performance.now()
  await worker.ask({ do: 'startWorker', subject, place })
  await worker.ask({ do: 'handled', count: stored }, W4_LIMIT_MS)
  const drainMs = performance.now() - started
  const cpuSeconds = (await cpuOf(pair)) - cpuBefore
  return {
    sends: figures.calls,
    errors: figures.errors,
    enqueuePerS: perSecond(figures.calls, figures.elapsedMs),
    drainPerS: perSecond(stored, drainMs),
    cpuSecondsPer1000: (cpuSeconds / figures.calls) * 1000,
  }
}

async function cpuOf({ client, worker }: Pair): Promise<number> {
  const sides = new Set([client, worker])
  const answers = await Promise.all([...sides].map((side) => side.ask({ do: 'cpu' })))
  return answers.reduce((sum, { cpuSeconds = 0 }) => sum + cpuSeconds, 0)
}

const perSecond = (count: number, ms: number): number => (count / ms) * 1000
