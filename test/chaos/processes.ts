// Starts the programs in processes of their own, and ends them by their ids whatever happens.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished, vi } from 'vitest'
import { embedded, type EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import { createClient, type Client } from '../../client/index.ts'
import { hubPid } from '../support/embedded-processes.ts'
import { watchChild, type Child } from './child.ts'
import { readLedger, type Ledger } from './ledger.ts'
import type { ClientProgram } from './programs/client.ts'
import { openNotes } from './programs/ledger-file.ts'
import type { WorkerProgram } from './programs/worker.ts'

/** A directory and the processes that use it, of one test. */
export interface Stage {
  /** The gates are in it. */
  readonly root: string
  /** The broker's directory, with short clocks. */
  readonly embedded: EmbeddedOptions
  readonly ledger: Ledger
  worker(options?: Partial<WorkerProgram>): Child
  client(options: Pick<ClientProgram, 'name'> & Partial<ClientProgram>): Child
  /** A process that does nothing, and so becomes the hub if it is the first. */
  keeper(): Child
  /** A client of the test's own process, which is never the hub. */
  inProcess(): Client
  /** The process of the hub. */
  hub(): Child
  /** Whether that process was killed, frozen or told to exit. */
  isHarmed(pid: number): boolean
  /** Whether the client that made the calls with these keys said that all have ended. */
  hasFinished(key: string): boolean
  /** Processes that ended with neither a signal nor an order of the test. */
  unexpectedEnds(): readonly string[]
}

/** Shorter than the defaults, and long enough for two busy cores. */
const CLOCKS = { silenceMs: 2_000, peerSilenceMs: 1_500, resumeMs: 1_500 }
const CLIENT = { calls: 8, sends: 4, ms: 5, timeoutMs: 30_000, held: [] } as const
const CONCURRENCY = 4

// On two idle cores none takes more than 15 s; each wait has a bound of its own, with a better message.
vi.setConfig({ testTimeout: 60_000 })

export function setStage(clocks: Partial<typeof CLOCKS> = {}): Stage {
  const root = mkdtempSync(join(tmpdir(), 'replyto-chaos-'))
  const options = { dir: join(root, 'broker'), ...CLOCKS, ...clocks }
  const children: Child[] = []
  const clients: Client[] = []
  const ledger = readLedger(root)
  const note = openNotes(root)
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(report(children, ledger))
    await Promise.all([...children.map((child) => child.destroy()), ...clients.map((one) => one.close({ graceMs: 0 }))])
    rmSync(root, { recursive: true, force: true })
  })

  const start = (program: 'worker' | 'client', config: WorkerProgram | ClientProgram): Child => {
    const name = 'name' in config ? config.name : `worker-${children.length}`
    const child = watchChild(name, {
      process: spawnProgram(program, config),
      onStrike: (what) => note('strike', name, what),
    })
    children.push(child)
    return child
  }
  const client: Stage['client'] = (config) => start('client', { root, embedded: options, ...CLIENT, ...config })
  return {
    root,
    embedded: options,
    ledger,
    worker: (config = {}) => start('worker', { root, embedded: options, concurrency: CONCURRENCY, ...config }),
    client,
    keeper: () => client({ name: 'keeper', calls: 0, sends: 0 }),
    inProcess() {
      const made = createClient(embedded({ ...options, host: 'never' }), { log: () => {} })
      clients.push(made)
      return made
    },
    hub() {
      const pid = hubPid(options.dir)
      const hub = children.find((child) => child.pid === pid)
      if (hub === undefined) throw new Error(`the hub's process ${pid} is none of ours`)
      return hub
    },
    isHarmed: (pid) => children.some((child) => child.pid === pid && child.isHarmed),
    hasFinished: (key) => children.some((child) => key.startsWith(`${child.name}.`) && child.hasFinished),
    unexpectedEnds: () => children.flatMap((child) => child.unexpectedEnd ?? []),
  }
}

/** Node 20 runs no TypeScript: the programs are the compiled ones. */
function spawnProgram(program: string, config: object): ChildProcess {
  const file = fileURLToPath(new URL(`../../dist/test/chaos/programs/${program}.js`, import.meta.url))
  return spawn(process.execPath, [file, JSON.stringify(config)], { stdio: ['pipe', 'pipe', 'pipe'] })
}

function report(children: readonly Child[], ledger: Ledger): string {
  return [...children.map((child) => child.describe()), `the ledger ends with\n${ledger.tail(40)}`].join('\n')
}
