import { execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_EVERY_MS = 50

/** A process that may outlive us. Its start time tells it from another one that got its number later. */
export interface ProcessMark {
  readonly pid: number
  /** In the kernel's words; undefined where it does not tell, as on macOS. */
  readonly startedAt: string | undefined
}

export function markOf(pid: number): ProcessMark {
  return { pid, startedAt: startTimeOf(pid) }
}

export function isAlive({ pid, startedAt }: ProcessMark): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return startTimeOf(pid) === startedAt && stateOf(pid) !== 'Z'
}

/** Asks it to end, waits, then ends it. Never touches a process that is not the one that was marked. */
export async function endProcess(mark: ProcessMark, graceMs: number): Promise<void> {
  if (!isAlive(mark)) return
  process.kill(mark.pid, 'SIGTERM')
  if (await isGoneWithin(mark, graceMs)) return
  await killProcess(mark)
}

async function isGoneWithin(mark: ProcessMark, ms: number): Promise<boolean> {
  const until = performance.now() + ms
  while (isAlive(mark)) {
    if (performance.now() > until) return false
    await sleep(LOOK_EVERY_MS)
  }
  return true
}

/** The process whose number is in this file; undefined: it does not run, or the number belongs to one without these words by now. */
export function processIn(pidFile: string, words: string): ProcessMark | undefined {
  try {
    const mark = markOf(Number(readFileSync(pidFile, 'utf8')))
    return isAlive(mark) && commandOf(mark.pid).includes(words) ? mark : undefined
  } catch {
    return undefined
  }
}

export interface Start {
  readonly withinMs: number
  /** A real connection was answered. */
  readonly answers: () => Promise<boolean>
  readonly isThere: () => boolean
  /** The error of this end. */
  readonly failed: (what: string) => Error
}

/** Resolves when what was started answers; throws when it ended meanwhile or takes too long. */
export async function comesUp({ withinMs, answers, isThere, failed }: Start): Promise<void> {
  const until = performance.now() + withinMs
  while (!(await answers())) {
    if (!isThere()) throw failed('ended while it started')
    if (performance.now() > until) throw failed(`did not answer within ${withinMs / 1000} s`)
    await sleep(LOOK_EVERY_MS)
  }
}

/** `kill -9`. Resolves when it is gone. */
export async function killProcess(mark: ProcessMark): Promise<void> {
  process.kill(mark.pid, 'SIGKILL')
  if (!(await isGoneWithin(mark, 5_000))) throw new Error(`process ${mark.pid} does not end`)
}

/** Starts it with its output in a file, so that it can outlive us; `cwd` is where it may leave the dump of a crash. */
export function startDetached(
  command: string,
  args: readonly string[],
  { log, env, cwd }: { readonly log: string; readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): number {
  const file = openSync(log, 'a')
  const child = spawn(command, args, { detached: true, stdio: ['ignore', file, file], env, cwd })
  closeSync(file)
  child.on('error', () => {}) // no pid, which is told below
  child.unref()
  if (child.pid === undefined) throw new Error(`${command} could not be started`)
  return child.pid
}

/**
 * Free on loopback now; each caller's are different. Below those that systems give to outgoing connections (Linux: from 32768 on,
 * https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html, ip_local_port_range): while a server is down for a
 * moment, somebody's connection would take its port, and it could not start again.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = randomInt(10_000, 32_768)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error) // it would be so of every port
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The end of a server's log, for the error that says why it did not come up. */
export function tailOf(file: string, lines = 20): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return '(no log)'
  }
}

function commandOf(pid: number): string {
  return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
}

// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: fields 3 and 22, behind the name in parentheses
function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}
function startTimeOf(pid: number): string | undefined {
  return statOf(pid)[19]
}
function stateOf(pid: number): string | undefined {
  return statOf(pid)[0]
}
