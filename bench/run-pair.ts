import type { LoopFigures } from './driver.ts'
import type { BenchOptions } from './options.ts'
import { cpuOfPair, inFreshPlace, type Pair } from './pair.ts'
import { measureRest, type RestFigures } from './rest.ts'
import type { Command } from './side.ts'
import type { SubjectName } from './subject.ts'

export const CALL_LOADS = [
  { name: 'W1', outstanding: 1, size: 'small' },
  { name: 'W2', outstanding: 64, size: 'small' },
  { name: 'W3', outstanding: 1_000, size: 'small' },
  { name: 'W6', outstanding: 64, size: 'large' },
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
  readonly rest?: RestFigures
}

/** Measures one subject once: W1, W2, W3 and W6 with one pair of processes, each of the others with its own; directories of their own. */
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
    ...(loads.has('rest') && {
      rest: await inFreshPlace(subject, baseDir, options, (pair) => measureRest(pair, options.nodeArgs)),
    }),
  }
}

type LoopCommand = Extract<Command, { readonly outstanding: number }>

async function measureCalls(pair: Pair, { seconds, loads }: BenchOptions): Promise<Record<string, CallFigures>> {
  const { subject, place, client, worker } = pair
  await worker.ask({ do: 'startWorker', subject, place })
  await client.ask({ do: 'startClient', subject, place })
  await client.ask(FIRST_WARM_UP)
  const figures: Record<string, CallFigures> = {}
  for (const { name, outstanding, size } of CALL_LOADS) {
    if (!loads.has(name)) continue
    await client.ask({ do: 'call', outstanding, size, limitMs: WARM_UP_MS })
    figures[name] = await measureLoop(pair, { do: 'call', outstanding, size, limitMs: seconds * 1000 })
  }
  return figures
}

async function measureLoop(pair: Pair, load: LoopCommand): Promise<CallFigures> {
  const cpuBefore = await cpuOfPair(pair)
  const { figures: loop } = await pair.client.ask(load, load.limitMs + 30_000)
  const cpuSeconds = (await cpuOfPair(pair)) - cpuBefore
  if (loop === undefined) throw new Error(`${pair.subject} ${load.do}, ${load.outstanding} outstanding: no figures`)
  return {
    ...loop,
    callsPerS: perSecond(loop.calls, loop.elapsedMs),
    cpuSecondsPer1000: (cpuSeconds / loop.calls) * 1000,
  }
}

/** One after the other in the same pair of processes, after some to warm up. */
async function measureKeys(pair: Pair, { seconds }: BenchOptions): Promise<KeyFigures> {
  const { subject, client, worker } = pair
  const place = { ...pair.place, isKeyed: true }
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
  const cpuBefore = await cpuOfPair(pair)
  const load = { do: 'send', outstanding: SENDS_OUTSTANDING, limitMs: W4_LIMIT_MS, count: options.sends } as const
  const { figures } = await client.ask(load, W4_LIMIT_MS + 30_000)
  if (figures === undefined || before === undefined) throw new Error(`${subject} W4: no figures`)
  const stored = before.calls + figures.calls
  const started = performance.now()
  await worker.ask({ do: 'startWorker', subject, place })
  await worker.ask({ do: 'handled', count: stored }, W4_LIMIT_MS)
  const drainMs = performance.now() - started
  const cpuSeconds = (await cpuOfPair(pair)) - cpuBefore
  return {
    sends: figures.calls,
    errors: figures.errors,
    enqueuePerS: perSecond(figures.calls, figures.elapsedMs),
    drainPerS: perSecond(stored, drainMs),
    cpuSecondsPer1000: (cpuSeconds / figures.calls) * 1000,
  }
}

const perSecond = (count: number, ms: number): number => (count / ms) * 1000
