import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { KafkaOptions } from '../../broker-adapters/kafka/index.ts'
import { eventually } from '../support/eventually.ts'

/** Node 20 runs no TypeScript, so the program is the compiled one. */
const PROGRAM = fileURLToPath(new URL('../../dist/test/kafka/programs/worker.js', import.meta.url))

/** A worker of `jobs` in a process of its own, see programs/worker.ts. */
export interface WorkerProcess {
  /** What it said until now. */
  readonly lines: readonly string[]
  says(line: string): Promise<void>
  /** SIGSTOP: it does nothing until it is thawed. */
  freeze(): void
  thaw(): void
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
}

/** Resolves when it consumes. */
export async function startWorkerProcess(namespace: string, options: KafkaOptions): Promise<WorkerProcess> {
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
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
