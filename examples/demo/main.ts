import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, type Client } from 'replyto'
import { callForAll } from './calls.ts'
import { compareLocally } from './compare.ts'
import { listFiles, type FileList } from './files.ts'
import { callsRunAgain } from './ledger.ts'
import { readOptions, USAGE, type DemoOptions } from './options.ts'
import { createProgress } from './progress.ts'
import { summary, workerTable } from './report.ts'
import { startWorkers, type DemoWorkers } from './workers.ts'

// `npm run demo`: this process calls, several worker processes compute, one of them is killed with `kill -9`; every call
// comes back, and every result is compared with the same figures computed here.

/** The whole run; then it is given up and ends with exit code 1. */
const LIMIT_MS = 10 * 60_000
/** For what must come to an end after that. */
const LAST_WAY_OUT_MS = 30_000
/** Below the run's directory; made when the run begins. */
const LEDGERS = 'ledgers'
const INTERRUPTED = 'interrupted'
const DEFAULT_FILES = { skipsHidden: true, maxFiles: 3_000, maxBytes: 1024 * 1024 }

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`${textOf(error)}\n\n${USAGE}`)
    return 2
  }
  setTimeout(giveUp, LIMIT_MS + LAST_WAY_OUT_MS).unref()
  const stop = new AbortController()
  const endListening = stopOnSignals(stop)
  const limit = setTimeout(() => stop.abort(new Error('the demo took too long')), LIMIT_MS)
  const dir = mkdtempSync(join(tmpdir(), 'replyto-demo-'))
  let problems: readonly string[]
  try {
    problems = await demo(options, dir, stop.signal)
  } catch (error) {
    problems = [textOf(error)]
  } finally {
    clearTimeout(limit)
    endListening()
  }
  for (const problem of problems) console.error(problem)
  const isStopped = stop.signal.reason === INTERRUPTED
  if (problems.length === 0 || isStopped || !existsSync(join(dir, LEDGERS)))
    rmSync(dir, { recursive: true, force: true })
  else console.error(`what was stored is kept in ${dir}`)
  return isStopped ? 130 : problems.length === 0 ? 0 : 1
}

/** The workers end with this process. */
function giveUp(): void {
  console.error('the demo did not come to an end')
  process.exit(1)
}

/** The first SIGINT or SIGTERM ends the run in order, so that no process is left behind. */
function stopOnSignals(stop: AbortController): () => void {
  const onSignal = (): void => {
    stop.abort(INTERRUPTED)
    setTimeout(() => process.exit(130), LAST_WAY_OUT_MS).unref()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
}

/** Returns what went wrong. */
async function demo(options: DemoOptions, dir: string, signal: AbortSignal): Promise<readonly string[]> {
  const files = await findFiles(options.dir)
  const { paths } = files
  if (paths.length === 0) return ['there is no file to read']
  const broker = options.broker ?? `file:${join(dir, 'broker')}`
  const group = `demo-${randomBytes(4).toString('hex')}` // other demos on the same broker go their own way
  const ledgers = join(dir, LEDGERS)
  mkdirSync(ledgers)

  const client = createClient(broker, { name: 'demo' })
  let workers: DemoWorkers | undefined
  const onAbort = (): void => workers?.kill()
  signal.addEventListener('abort', onAbort)
  const problems: string[] = []
  try {
    await client.ready()
    workers = startWorkers(options.workers, { broker, group, dir: ledgers })
    await workers.ready()
    console.log(`${describe(files, options.dir)}; ${options.workers} workers; ${broker}`)
    problems.push(...(await callAndCompare({ client, workers, group, paths, signal })))
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (signal.aborted) workers?.kill()
    else problems.push(...((await workers?.end()) ?? []))
    await client.close({ graceMs: 0 })
  }
  return problems
}

interface Parts {
  readonly client: Client
  readonly workers: DemoWorkers
  readonly group: string
  readonly paths: readonly string[]
  readonly signal: AbortSignal
}

async function callAndCompare({ client, workers, group, paths, signal }: Parts): Promise<readonly string[]> {
  const progress = createProgress(paths.length, process.stdout)
  const report = await callForAll({ client, group, paths, workers, progress, signal })
  progress.end()
  if (signal.aborted) return [textOf(signal.reason)]
  const drainProblems = await workers.end()
  console.log(`\n${workerTable(workers.all, report)}\n`)
  console.log(summary(paths.length, report, callsRunAgain(workers.all.map((worker) => worker.ledgerPath))))

  const { differences, elapsedMs } = await compareLocally(report.results, signal)
  if (signal.aborted) return [textOf(signal.reason)]
  const seconds = (elapsedMs / 1000).toFixed(1)
  console.log(`compared with one process, file by file: ${differences.length} differ (${seconds} s)`)
  return [...report.failures, ...differences, ...drainProblems]
}

function findFiles(dir: string | undefined): Promise<FileList> {
  if (dir !== undefined) return listFiles(resolve(dir))
  return listFiles(fileURLToPath(new URL('../../../node_modules', import.meta.url)), DEFAULT_FILES)
}

function describe({ paths, larger }: FileList, dir: string | undefined): string {
  const where = relative('.', dir ?? fileURLToPath(new URL('../../../node_modules', import.meta.url)))
  return `${paths.length} files below ${where}${larger > 0 ? ` (${larger} skipped: larger than 1 MiB)` : ''}`
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
