import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { RedisOptions } from '../../broker-adapters/redis/index.ts'
import { eventually } from '../support/eventually.ts'

/** Node 20 runs no TypeScript, so the program is the compiled one. */
const PROGRAM = fileURLToPath(new URL('../../dist/test/redis/programs/worker.js', import.meta.url))

/** A worker of `jobs` in a process of its own, see programs/worker.ts. */
export interface WorkerProcess {
  /** What it said until now. */
  readonly lines: readonly string[]
  says(line: string): Promise<void>
  readonly isAlive: boolean
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
}

/** Resolves when it consumes. */
export async function startWorkerProcess(namespace: string, options: RedisOptions): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [PROGRAM, namespace, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const says = async (line: string): Promise<void> => {
    await eventually(() => lines.includes(line), { within: 30_000, what: `the worker says '${line}'` })
  }
  await says('up')
  return {
    lines,
    says,
    get isAlive() {
      return child.exitCode === null && child.signalCode === null
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
