import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  comesUp,
  endProcess,
  freePorts,
  isAlive,
  killProcess,
  markOf,
  processIn,
  startDetached,
  tailOf,
  type ProcessMark,
} from './processes.ts'

// A Redis of the system's package, run by us: in a directory of its own, as the user that we are, on loopback.

const START_MS = 30_000
/** It writes its file, and may wait up to 10 s for its replicas. */
const STOP_MS = 30_000
const ANSWER_MS = 2_000

/** What is known of one that was started; enough to find and end it from another process. */
export interface ServerFacts {
  readonly dir: string
  readonly port: number
  readonly url: string
}

export interface ServerOptions {
  readonly dir: string
  /** Lines of redis.conf below our own, which they may change; a line `user …` makes a user. */
  readonly config?: string | undefined
}

export function isInstalled(): boolean {
  return spawnSync('redis-server', ['--version'], { stdio: 'ignore', timeout: 10_000 }).status === 0
}

/** Makes its directory and starts it; resolves when it answers. */
export async function createServer({ dir, config = '' }: ServerOptions): Promise<ServerFacts> {
  const [port = 0] = await freePorts(1)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const facts: ServerFacts = { dir, port, url: `redis://127.0.0.1:${port}` }
  // Its command names its file as long as it does not write a title over it: by that it is known.
  const own = {
    bind: '127.0.0.1',
    port,
    dir,
    pidfile: pidFile(facts),
    'set-proc-title': 'no',
    appendonly: 'yes',
    save: "''",
    'maxmemory-policy': 'noeviction',
    'repl-diskless-sync-delay': 0, // else a replica waits 5 s for others to come along
  }
  const lines = Object.entries(own).map(([name, value]) => `${name} ${value}\n`)
  writeFileSync(configFile(facts), `${lines.join('')}${config}\n`)
  try {
    await startServer(facts)
  } catch (error) {
    await removeServer(facts)
    throw error
  }
  return facts
}

/** Starts it again, with its data, on its port. */
export async function startServer(facts: ServerFacts): Promise<void> {
  rmSync(pidFile(facts), { force: true })
  const options = { log: logFile(facts), env: process.env, cwd: facts.dir }
  const started = markOf(startDetached('redis-server', [configFile(facts)], options))
  await comesUp({
    withinMs: START_MS,
    answers: () => answers(facts.port),
    isThere: () => isAlive(started),
    failed: (what) => failed(facts, what),
  })
}

/** Ends it as an operator does, which SIGTERM is; its data stays. */
export async function stopServer(facts: ServerFacts): Promise<void> {
  const server = serverOf(facts)
  if (server !== undefined) await endProcess(server, STOP_MS)
}

/** `kill -9`. */
export async function killServer(facts: ServerFacts): Promise<void> {
  const server = serverOf(facts)
  if (server === undefined) throw failed(facts, 'is not running')
  await killProcess(server)
}

/** Ends it and removes its data, for which nothing has to be written any more. */
export async function removeServer(facts: ServerFacts): Promise<void> {
  if (serverOf(facts) !== undefined) await killServer(facts)
  rmSync(facts.dir, { recursive: true, force: true, maxRetries: 5 })
}

/** The server's process; undefined: it does not run. */
export function serverOf(facts: ServerFacts): ProcessMark | undefined {
  return processIn(pidFile(facts), configFile(facts))
}

/** `redis-cli`, to this one; throws where the server answers with an error. */
export async function cli({ port }: ServerFacts, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('redis-cli', ['-e', '-p', String(port), ...args], { timeout: 60_000 })
  return stdout.trimEnd()
}

/** What a PING gets is an answer, also the one that a password is needed; while it reads its data it says so instead. */
async function answers(port: number): Promise<boolean> {
  const socket = dial(port, '127.0.0.1')
  try {
    const signal = AbortSignal.timeout(ANSWER_MS)
    socket.write('PING\r\n')
    const [reply] = await once(socket, 'data', { signal })
    return !String(reply).startsWith('-LOADING')
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

function configFile({ dir }: ServerFacts): string {
  return join(dir, 'redis.conf')
}
function pidFile({ dir }: ServerFacts): string {
  return join(dir, 'server.pid')
}
function logFile({ dir }: ServerFacts): string {
  return join(dir, 'server.log')
}

function failed(facts: ServerFacts, what: string): Error {
  return new Error(`Redis in ${facts.dir} ${what}. The end of its log:\n${tailOf(logFile(facts))}`)
}
