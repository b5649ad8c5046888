import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { BrokerError, messageOf } from '../../protocol/errors.ts'
import type { LogLevel } from '../adapter.ts'
import { markReleased } from './election.ts'
import { guardExit } from './exit-gate.ts'
import type { ResolvedEmbeddedOptions } from './options.ts'

export interface HubThreadData {
  readonly dir: string
  readonly durability: 'disk' | 'process'
  readonly maxBytes: number
  readonly peerSilenceMs: number
  readonly resumeMs: number
  readonly gate: SharedArrayBuffer
}
export type ToThread =
  { readonly type: 'contend'; readonly epoch: number; readonly wasClosed: boolean } | { readonly type: 'stop' }
export type FromThread =
  | { readonly type: 'ready' | 'won' | 'lost' | 'ended' }
  | { readonly type: 'claimed'; readonly epoch: number }
  | { readonly type: 'failed'; readonly isRefusal: boolean; readonly text: string }
  | { readonly type: 'log'; readonly level: LogLevel; readonly code: string; readonly message: string }

/** This process's side of the thread that is, may become, or stands by to become the hub. */
export interface HubHost {
  /** Tries to become the hub of this epoch. `wasClosed`: the last one's socket is closed, so it is gone or about to. */
  contend(epoch: number, wasClosed: boolean): Promise<'won' | 'lost'>
  /** Starts the thread, so that it is ready when it is needed. */
  standBy(): void
  /** If it is the hub: hands over in order. */
  stop(): Promise<void>
}

const STOP_MS = 5_000

interface Thread {
  readonly worker: Worker
  readonly ended: Promise<void>
  readonly contend: (epoch: number, wasClosed: boolean) => Promise<'won' | 'lost'>
}

export function createHubHost(
  options: ResolvedEmbeddedOptions,
  log: (level: LogLevel, code: string, message: string) => void,
): HubHost {
  let thread: Thread | undefined

  function current(): Thread {
    if (thread !== undefined) return thread
    const started = startThread(options, log)
    thread = started
    void started.ended.then(() => {
      if (thread === started) thread = undefined
    })
    return started
  }

  return {
    contend: (epoch, wasClosed) => current().contend(epoch, wasClosed),
    standBy() {
      current()
    },
    async stop() {
      if (thread === undefined) return
      const { worker, ended } = thread
      tell(worker, { type: 'stop' })
      // Bounded: a disk that hangs must not hang the close. An unref'd thread does not keep the process.
      const timer = setTimeout(() => {
        log('warn', 'EMBEDDED_HUB', `the hub did not end within ${STOP_MS} ms; it is terminated`)
        worker.terminate().catch((error: unknown) => log('debug', 'EMBEDDED_HUB', messageOf(error)))
      }, STOP_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

function startThread(
  options: ResolvedEmbeddedOptions,
  log: (level: LogLevel, code: string, message: string) => void,
): Thread {
  const { dir, durability, maxBytes, peerSilenceMs, resumeMs } = options
  let epoch = 0
  let failure: BrokerError | undefined
  let waiting: { resolve: (outcome: 'won' | 'lost') => void; reject: (error: BrokerError) => void } | undefined
  const gate = guardExit(() => {
    if (epoch > 0) markReleased(dir, epoch)
  })
  const workerData: HubThreadData = { dir, durability, maxBytes, peerSilenceMs, resumeMs, gate: gate.shared }
  const worker = new Worker(threadFile(), { workerData, execArgv: [] })

  function settle(outcome: 'won' | 'lost' | BrokerError): void {
    const waiter = waiting
    waiting = undefined
    if (outcome instanceof BrokerError) waiter?.reject(outcome)
    else waiter?.resolve(outcome)
  }
  worker.on('message', (message: FromThread) => {
    if (message.type === 'log') log(message.level, message.code, message.message)
    else if (message.type === 'claimed') epoch = message.epoch
    else if (message.type === 'won' || message.type === 'lost') settle(message.type)
    else if (message.type === 'failed') {
      failure = new BrokerError(message.isRefusal ? 'BROKER_REFUSED' : 'BROKER_UNAVAILABLE', message.text)
      settle(failure)
    }
  })
  // A defect of the hub must not end the application: it is said, and the next hub is elected.
  worker.on('error', (error) => {
    failure = new BrokerError('BROKER_UNAVAILABLE', `the hub's thread ended: ${messageOf(error)}`)
    log('error', 'EMBEDDED_HUB', messageOf(error))
  })
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', () => {
      gate.release()
      if (epoch > 0 && existsSync(dir)) markReleased(dir, epoch)
      failure ??= new BrokerError('BROKER_UNAVAILABLE', "the hub's thread has ended")
      settle(failure)
      resolve()
    })
  })
  // After the listeners: they would undo it.
  worker.unref()

  return {
    worker,
    ended,
    contend(wanted, wasClosed) {
      if (failure !== undefined) return Promise.reject(failure)
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        tell(worker, { type: 'contend', epoch: wanted, wasClosed })
      })
    },
  }
}

function tell(worker: Worker, message: ToThread): void {
  worker.postMessage(message, [])
}

/** Node 20 runs no TypeScript: from the sources, as tests do, the compiled file is used. */
function threadFile(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./hub-thread.js', import.meta.url)
  const compiled = new URL('../../dist/broker-adapters/embedded/hub-thread.js', import.meta.url)
  if (existsSync(fileURLToPath(compiled))) return compiled
  throw new BrokerError(
    'BROKER_REFUSED',
    'the embedded broker runs from its sources, and its thread is not compiled: npx tsc -p .',
  )
}
