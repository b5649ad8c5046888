import type { Client } from 'replyto'
import { fileFigures, type Figures } from './contract.ts'
import type { Progress } from './progress.ts'
import type { DemoWorkers, Killed } from './workers.ts'

const IN_FLIGHT = 64
/** Then something is wrong with more than a file, and the rest is not waited for. */
const MAX_FAILURES = 20

/** What is known of one file: its figures, or why it cannot be read. */
export type FileResult = { readonly figures: Figures } | { readonly unreadable: string }

export interface CallsReport {
  /** By path. */
  readonly results: ReadonlyMap<string, FileResult>
  /** Calls that ended without a result, with the reason. */
  readonly failures: readonly string[]
  /** Name of the worker → what it answered. */
  readonly byWorker: ReadonlyMap<string, { readonly files: number; readonly bytes: number }>
  readonly killed: Killed | undefined
  readonly elapsedMs: number
}

export interface CallsSetup {
  readonly client: Client
  readonly group: string
  readonly paths: readonly string[]
  readonly workers: DemoWorkers
  readonly progress: Progress
  /** Ends the calls. */
  readonly signal: AbortSignal
}

/** One call per path, 64 at a time; a third of the way in, a worker that has calls at work is killed. */
export async function callForAll(setup: CallsSetup): Promise<CallsReport> {
  const { client, group, paths, workers, progress, signal } = setup
  const { analyse } = client.service(fileFigures, { group })
  const results = new Map<string, FileResult>()
  const failures: string[] = []
  const byWorker = new Map<string, { files: number; bytes: number }>()
  const started = performance.now()
  let done = 0
  let isOver = false
  let kill: Promise<Killed | undefined> | undefined

  const inputs = paths.map((path) => ({ path }))
  for await (const { input, ...outcome } of analyse.map(inputs, { inFlight: IN_FLIGHT, signal })) {
    if (signal.aborted) break
    progress.done(++done)
    if (done >= paths.length / 3) kill ??= killAndSay(workers, progress, () => isOver)
    if (outcome.status === 'ok') {
      const { worker, ...figures } = outcome.value
      results.set(input.path, { figures })
      const sum = byWorker.get(worker) ?? { files: 0, bytes: 0 }
      byWorker.set(worker, { files: sum.files + 1, bytes: sum.bytes + figures.bytes })
    } else if (analyse.isDeclaredError(outcome.error)) {
      results.set(input.path, { unreadable: outcome.error.data.reason })
    } else if (failures.push(`${input.path}: ${outcome.error.message}`) === MAX_FAILURES) break
  }
  const elapsedMs = performance.now() - started
  isOver = true
  return { results, failures, byWorker, killed: await kill, elapsedMs }
}

async function killAndSay(
  workers: DemoWorkers,
  progress: Progress,
  isOver: () => boolean,
): Promise<Killed | undefined> {
  const killed = await workers.killOneAtWork(isOver)
  if (killed === undefined) progress.say('no worker had a call at work any more: none was killed')
  else
    progress.say(`kill -9 ${killed.pid}: ${killed.name} had ${killed.held.size} calls at work, and more waiting in it`)
  return killed
}
