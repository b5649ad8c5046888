import { randomBytes } from 'node:crypto'
import type { AdapterFactory, AdapterState, BrokerAdapter, Capabilities } from '../../broker-adapters/adapter.ts'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { openBroker } from '../../broker-adapters/connect.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client, ClientOptions } from '../../client/types.ts'
import type { Service } from '../../contract/types.ts'
import { HEADER } from '../../protocol/headers.ts'
import { newCallId } from '../../protocol/ids.ts'
import type { Message, QueueRef, Reply } from '../../protocol/message.ts'
import { buildWorker } from '../../worker/create-worker.ts'
import { resolveWorkerOptions, type WorkerTuning } from '../../worker/options.ts'
import type { Handlers, ServeOptions, Worker, WorkerOptions } from '../../worker/types.ts'
import { createFaultyTarget, type FaultyTarget } from '../support/faulty-adapter.ts'
import { createLedger, type Ledger } from '../support/ledger.ts'

/** What a case has at hand: a namespace of its own, and everything that it makes is closed after it. */
export interface CaseContext {
  readonly namespace: string
  readonly capabilities: Capabilities
  readonly ledger: Ledger
  /** What clients and workers of this case logged. */
  readonly lines: readonly LogLine[]
  /** A connection that can be broken, for one client or worker. */
  wire(): FaultyTarget
  client(options?: ClientOptions & Wired): Client
  worker(options?: WorkerOptions & Wired): Worker
  /** A worker of this one service, started. */
  serve<S extends Service>(
    service: S,
    handlers: Handlers<S>,
    options?: WorkerOptions & Wired & Pick<ServeOptions<S>, 'attemptTimeoutMs'>,
  ): Promise<Worker>
  /** A started adapter of its own connection. */
  adapter(options?: { readonly namespace?: string | undefined }): Promise<StartedAdapter>
  /** Runs at the end, last in first out. */
  atEnd(cleanup: () => unknown): void
}

export interface Wired {
  readonly wire?: FaultyTarget | undefined
  readonly maxPayloadBytes?: number | undefined
  readonly namespace?: string | undefined
  /** Of a worker. */
  readonly tuning?: Partial<WorkerTuning> | undefined
}

export interface StartedAdapter extends BrokerAdapter {
  readonly states: readonly AdapterState[]
}

export interface CaseSettings {
  readonly target: (namespace: string) => AdapterFactory
  readonly capabilities: Capabilities
}

export function createCaseContext({ target, capabilities }: CaseSettings): {
  readonly t: CaseContext
  readonly end: () => Promise<void>
} {
  const namespace = `n${randomBytes(6).toString('hex')}`
  const lines: LogLine[] = []
  const cleanups: (() => unknown)[] = []
  const log = (line: LogLine): void => void lines.push(line)
  const wire = (): FaultyTarget => createFaultyTarget(target(namespace))

  const t: CaseContext = {
    namespace,
    capabilities,
    ledger: createLedger(),
    lines,
    wire,
    client({ wire: given = wire(), ...options } = {}) {
      const client = createClient(given.target, { namespace, log, ...options })
      cleanups.push(() => client.close({ graceMs: 0 }))
      return client
    },
    worker({ wire: given = wire(), tuning = {}, ...more } = {}) {
      const options = { namespace, log, ...more }
      const broker = openBroker(given.target, options)
      const worker = buildWorker({ broker, isOwned: true, options: resolveWorkerOptions(options), tuning })
      cleanups.push(() => worker.close({ graceMs: 0 }))
      return worker
    },
    async serve(service, handlers, { attemptTimeoutMs, ...options } = {}) {
      return t.worker(options).serve(service, handlers, { attemptTimeoutMs }).start()
    },
    async adapter({ namespace: given = namespace } = {}) {
      const states: AdapterState[] = []
      const adapter = target(namespace).create()
      cleanups.push(() => adapter.stop())
      await adapter.start({
        namespace: given,
        processId: `p${randomBytes(8).toString('hex')}`,
        maxPayloadBytes: 1_000_000,
        log: (level, code, message) => lines.push({ level, code, message, count: 1 }),
        now: Date.now,
        onState: (state) => states.push(state),
      })
      return Object.assign(adapter, { states })
    },
    atEnd: (cleanup) => void cleanups.push(cleanup),
  }
  return {
    t,
    async end() {
      for (const cleanup of cleanups.toReversed()) await cleanup()
    },
  }
}

/** A queue of the case's namespace, for cases that speak to the adapter alone. */
export function queueRef(more: Partial<QueueRef> = {}): QueueRef {
  return {
    group: 'default',
    service: 'probe',
    major: 'v1',
    features: { keyed: false, priority: false, frames: false },
    ...more,
  }
}

/** A request as a client makes it; the body is not decoded by anybody at the seam. */
export function requestOf(more: Partial<Message> = {}): Message {
  return {
    id: newCallId(),
    type: 'send',
    replyTo: undefined,
    contentType: 'application/cbor',
    contentEncoding: undefined,
    body: new Uint8Array([0xf6]),
    ...more,
    headers: { [HEADER.version]: '1', [HEADER.service]: 'probe', [HEADER.method]: 'work', ...more.headers },
  }
}

export function replyOf(correlationId: string, more: Partial<Reply> = {}): Reply {
  return {
    correlationId,
    type: 'result',
    contentType: 'application/cbor',
    contentEncoding: undefined,
    headers: {},
    body: new Uint8Array([0xf6]),
    ...more,
  }
}
