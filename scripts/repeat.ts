import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { binOf } from './steps.ts'

// `npm run repeat -- N <suite> [arguments]`: runs `demo`, or the test files whose path contains <suite>, N times, one after
// the other. Stops at the first run that fails, takes too long or leaves a process behind, and prints its log.

const RUN_LIMIT_MS = 15 * 60_000
/** How long what the run started may take to go after it. */
const LEFTOVER_MS = 2_000

const [times = '', suite, ...rest] = process.argv.slice(2)
const count = Number(times)
if (!Number.isSafeInteger(count) || count < 1 || suite === undefined) {
  console.error('usage: npm run repeat -- N <suite> [arguments], where <suite> is demo or a part of the path of a test')
  process.exit(2)
}
const command = suite === 'demo' ? [join('dist', 'examples', 'demo', 'main.js'), ...rest] : vitest(suite, rest)
process.exitCode = await repeat(count, command)

function vitest(suite: string, rest: readonly string[]): readonly string[] {
  return [binOf('vitest'), 'run', suite, ...rest]
}

async function repeat(count: number, command: readonly string[]): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-repeat-'))
  const log = join(dir, 'run.log')
  const seconds: number[] = []
  for (let run = 1; run <= count; run++) {
    const started = performance.now()
    const failure = await runOnce(command, log)
    const took = (performance.now() - started) / 1000
    console.log(`run ${run} of ${count}: ${failure ?? 'ok'}, ${took.toFixed(1)} s`)
    if (failure !== undefined) {
      console.log(`\n${readFileSync(log, 'utf8')}\nrun ${run} of ${count} failed: ${failure}; its log is ${log}`)
      return 1
    }
    seconds.push(took)
  }
  rmSync(dir, { recursive: true, force: true })
  const sorted = seconds.toSorted((a, b) => a - b).map((took) => took.toFixed(1))
  console.log(`\n${count} runs, ${count} ok, ${sorted[0]} to ${sorted.at(-1)} s`)
  return 0
}

/** Returns why it failed, or undefined. */
async function runOnce(command: readonly string[], log: string): Promise<string | undefined> {
  const file = openSync(log, 'w')
  // a process group of its own, so that all of it can be ended and what is left of it is seen
  const child = spawn(process.execPath, command, { stdio: ['ignore', file, file], detached: true })
  closeSync(file)
  const { pid } = child
  if (pid === undefined) return 'it did not start'
  const stop = (signal: NodeJS.Signals): void => {
    signalGroup(pid, signal)
    process.exitCode = 130
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  let isLate = false
  const limit = setTimeout(() => {
    isLate = true
    signalGroup(pid, 'SIGKILL')
  }, RUN_LIMIT_MS)
  const ended = await new Promise<string | undefined>((resolve) => {
    child.on('exit', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)))
  })
  clearTimeout(limit)
  process.off('SIGINT', stop).off('SIGTERM', stop)
  const leftover = await endLeftovers(pid)
  return isLate ? `not done after ${RUN_LIMIT_MS / 60_000} minutes` : (ended ?? leftover)
}

async function endLeftovers(group: number): Promise<string | undefined> {
  const until = performance.now() + LEFTOVER_MS
  while (signalGroup(group, 0)) {
    if (performance.now() > until) {
      signalGroup(group, 'SIGKILL')
      return 'it left a process behind'
    }
    await sleep(50)
  }
  return undefined
}

/** Returns whether anything of the group was there. */
function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}
