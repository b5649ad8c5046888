// What the tests and programs of the embedded broker share: an adapter with a context, and messages.
import { randomUUID } from 'node:crypto'
import type { AdapterState, BrokerAdapter } from '../../broker-adapters/adapter.ts'
import { embedded, type EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import type { Message, QueueRef, Reply } from '../../protocol/message.ts'

export const QUEUE: QueueRef = {
  group: 'default',
  service: 'test',
  major: 'v1',
  features: { keyed: false, priority: false, frames: false },
}

/** One that no process works on: what is in it is read from the store. */
export const KEPT: QueueRef = { ...QUEUE, service: 'kept' }

export interface Opened {
  readonly adapter: BrokerAdapter
  readonly states: { readonly state: AdapterState; readonly reason: string | undefined; readonly at: number }[]
  readonly logs: string[]
  /** Of the hub that it is, or was last, connected to. */
  epoch(): number
  /** Resolves at the next change to this state. */
  next(state: AdapterState): Promise<void>
}

export function openEmbedded(options: EmbeddedOptions, namespace = 'replyto'): Opened & { start(): Promise<void> } {
  const adapter = embedded(options).create()
  const states: { state: AdapterState; reason: string | undefined; at: number }[] = []
  const logs: string[] = []
  let epoch = 0
  const waiting: { state: AdapterState; resolve: () => void }[] = []
  const start = (): Promise<void> =>
    adapter.start({
      namespace,
      processId: `test-${randomUUID().slice(0, 8)}`,
      maxPayloadBytes: 1_000_000,
      log(level, code, message) {
        logs.push(`${level} ${code} ${message}`)
        epoch = Number(/^connected to hub (\d+)$/.exec(message)?.[1] ?? epoch)
      },
      now: Date.now,
      onState(state, reason) {
        states.push({ state, reason, at: Date.now() })
        for (const one of waiting.splice(0)) {
          if (one.state === state) one.resolve()
          else waiting.push(one)
        }
      },
    })
  return {
    adapter,
    states,
    logs,
    epoch: () => epoch,
    start,
    next: (state) => new Promise((resolve) => waiting.push({ state, resolve })),
  }
}

export function messageOf(id: string, more: Partial<Message> = {}): Message {
  return {
    id,
    type: 'call',
    replyTo: undefined,
    contentType: 'application/cbor',
    contentEncoding: undefined,
    headers: { 'rt-method': 'work' },
    body: new TextEncoder().encode(`body of ${id}`),
    ...more,
  }
}

export function resultOf(correlationId: string, more: Partial<Reply> = {}): Reply {
  return {
    correlationId,
    type: 'result',
    contentType: 'application/cbor',
    contentEncoding: undefined,
    headers: {},
    body: new TextEncoder().encode(`result of ${correlationId}`),
    ...more,
  }
}
