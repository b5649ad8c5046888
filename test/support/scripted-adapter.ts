import type {
  AdapterContext,
  AdapterFactory,
  AdapterState,
  BrokerAdapter,
  PublishOutcome,
} from '../../broker-adapters/adapter.ts'
import { cborCodec } from '../../protocol/codec-cbor.ts'
import type { Message, Reply } from '../../protocol/message.ts'
import { eventually } from './eventually.ts'

/** A broker that stores nothing and does what the test says, for the moments that a real one shows seldom. */
export interface Scripted {
  readonly target: AdapterFactory
  readonly adapter: BrokerAdapter
  /** Every message that was published, in order. */
  readonly published: Message[]
  readonly broadcasts: { readonly topic: string; readonly body: Uint8Array }[]
  /** How often each method of the seam was entered. */
  readonly calls: Record<string, number>
  /** What becomes of each message; @default stored */
  outcome: (message: Message) => PublishOutcome | Promise<PublishOutcome>
  say(state: AdapterState, reason?: string): void
  answer(message: Pick<Message, 'id'>, value: unknown, type?: Reply['type']): void
}

const SCRIPTED_URL = 'scripted://broker'

/** `changes` replace methods of the adapter. Up as soon as it was started. */
export function createScripted(changes: Partial<BrokerAdapter> = {}): Scripted {
  let context: AdapterContext | undefined
  let onReply: ((reply: Reply, done: () => void) => void) | undefined
  const adapter: BrokerAdapter = {
    capabilities: {
      removesQueued: false,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: 0,
      maxKeepMs: 0,
      ackTimeoutMs: undefined,
      recoveryMs: 0,
      maxMessageBytes: 1_000_000,
      storedMeans: 'memory',
    },
    async start(given) {
      context = given
      given.onState('up')
    },
    stop: () => Promise.resolve(),
    declare: () => Promise.resolve(),
    publish(_, messages) {
      scripted.published.push(...messages)
      return Promise.all(messages.map(async (message) => scripted.outcome(message)))
    },
    consume: () => Promise.reject(new Error('the scripted broker has no consumers')),
    async openInbox(_, receive) {
      onReply = receive
      return { address: 'replyto.in.scripted', close: () => Promise.resolve() }
    },
    openMailbox: () => Promise.reject(new Error('the scripted broker has no mailboxes')),
    reply: (_, replies) => Promise.resolve(replies.map(() => 'stored' as const)),
    park: () => Promise.resolve(),
    broadcast: (topic, body) => void scripted.broadcasts.push({ topic, body }),
    onBroadcast: () => Promise.resolve(() => {}),
    stats: () => Promise.resolve({ ready: 0, dead: 0, consumers: 1, delayed: 0, active: 0, isPaused: false }),
    purge: () => Promise.resolve(0),
    setPaused: () => Promise.resolve(),
    deadLetters: () => ({ async *list() {}, replay: () => Promise.resolve(0), purge: () => Promise.resolve(0) }),
    ...changes,
  }
  const counted = new Proxy(adapter, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver)
      if (typeof member === 'function') scripted.calls[String(name)] = (scripted.calls[String(name)] ?? 0) + 1
      return member
    },
  })
  const scripted: Scripted = {
    target: { '~adapter': 'scripted', url: SCRIPTED_URL, create: () => counted },
    adapter,
    published: [],
    broadcasts: [],
    calls: {},
    outcome: () => ({ status: 'stored' }),
    say: (state, reason) => context?.onState(state, reason),
    answer(message, value, type = 'result') {
      const body = cborCodec.encode(value)
      const reply = { correlationId: message.id, type, contentEncoding: undefined, headers: {}, body }
      onReply?.({ ...reply, contentType: cborCodec.contentType }, () => {})
    },
  }
  return scripted
}

/** Waits until so many messages were published; gives the last of them. */
export function publishedOf(scripted: Scripted, count: number): Promise<Message> {
  return eventually(() => scripted.published.length >= count && scripted.published[count - 1], {
    what: `${count} messages are published`,
  })
}
