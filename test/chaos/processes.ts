// Starts the programs in processes of their own, and ends them by their ids whatever happens.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFailed, onTestFinished } from 'vitest'
import type { EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import { hubPid } from '../support/embedded-processes.ts'
import type { ClientProgram } from './programs/client.ts'
import { readNotes } from './programs/ledger-file.ts'
import type { WorkerProgram } from './programs/worker.ts'

export interface Child {
  readonly pid: number
  /** Resolves when it prints this line; rejects if it ends before. */
  line(text: string): Promise<void>
  tell(text: 'finish' | 'close' | 'exit'): void
  signal(signal: NodeJS.Signals): void
  /** Its exit code; null after a signal. */
  readonly exited: Promise<number | null>
}

export interface Stage {
  /** Of this test alone; the ledger and the gates are in it. */
  readonly root: string
  /** The directory of the broker, with short clocks. */
  readonly embedded: EmbeddedOptions
  worker(options?: Partial<WorkerProgram>): Child
  client(options: Pick<ClientProgram, 'name'> & Partial<ClientProgram>): Child
  hubPid(): number
}

const LINE_MS = 20_000

/** A fresh directory, and the processes on it. */
export function setStage(): Stage {
  const root = mkdtempSync(join(tmpdir(), 'replyto-chaos-'))
  const embedded = { dir: join(root, 'broker'), silenceMs: 2_000, peerSilenceMs: 1_500, resumeMs: 1_000 }
  const children: ChildProcess[] = []
  onTestFailed(() =>
    console.error(
      `the ledger ends with\n${readNotes(root)
        .slice(-30)
        .map((note) => note.join(' '))
        .join('\n')}`,
    ),
  )
  onTestFinished(async () => {
    await Promise.all(children.map(end))
    rmSync(root, { recursive: true, force: true })
  })
  const start = (program: string, options: object): Child => {
    const child = spawn(process.execPath, [compiled(program), JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    children.push(child)
    return watch(program, child)
  }
  return {
    root,
    embedded,
    worker: (options = {}) => start('worker', { root, embedded, concurrency: 4, ...options } satisfies WorkerProgram),
    client: (options) =>
      start('client', {
        root,
        embedded,
        calls: 8,
        sends: 4,
        ms: 5,
        timeoutMs: 30_000,
        ...options,
      } satisfies ClientProgram),
    hubPid: () => hubPid(embedded.dir),
  }
}

/** Node 20 runs no TypeScript: the programs are the compiled ones. */
function compiled(program: string): string {
  return fileURLToPath(new URL(`../../dist/test/chaos/programs/${program}.js`, import.meta.url))
}

function watch(program: string, child: ChildProcess): Child {
  const { stdin, stdout, stderr, pid } = child
  if (stdin === null || stdout === null || stderr === null || pid === undefined)
    throw new Error(`${program} did not start`)
  const seen = new Set<string>()
  const waiting = new Map<string, () => void>()
  let errors = ''
  createInterface({ input: stdout }).on('line', (text) => {
    seen.add(text)
    waiting.get(text)?.()
  })
  stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  stdin.on('error', () => {}) // it was killed
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return {
    pid,
    exited,
    line(text) {
      if (seen.has(text)) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const fail = (why: string): void =>
          reject(new Error(`${program} ${pid} ${why} before it said '${text}'\n${errors.slice(-3000)}`))
        const timer = setTimeout(fail, LINE_MS, `waited ${LINE_MS} ms`)
        const done = (): void => {
          clearTimeout(timer)
          resolve()
        }
        waiting.set(text, done)
        void exited.then((code) => setImmediate(() => (seen.has(text) ? done() : fail(`ended (${code})`))))
      })
    },
    tell: (text) => void stdin.write(`${text}\n`),
    signal: (signal) => void child.kill(signal),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exited
}
