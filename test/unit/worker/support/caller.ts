import type { BrokerAdapter, StoredDeadLetter } from '../../../../broker-adapters/adapter.ts'
import type { Broker, LogLine } from '../../../../broker-adapters/broker.ts'
import { connect } from '../../../../broker-adapters/connect.ts'
import { createMemoryAdapter } from '../../../../broker-adapters/memory/memory-adapter.ts'
import { queueOf } from '../../../../contract/service-facts.ts'
import type { Service } from '../../../../contract/types.ts'
import { cborCodec } from '../../../../protocol/codec-cbor.ts'
import { codecFor } from '../../../../protocol/codec.ts'
import { HEADER } from '../../../../protocol/headers.ts'
import { HOST_ID } from '../../../../protocol/host-id.ts'
import { newCallId } from '../../../../protocol/ids.ts'
import type { Message, Reply } from '../../../../protocol/message.ts'
import { parseWireError, type WireError } from '../../../../protocol/wire-errors.ts'

/** A broker of this test's own, whose adapter can be bent. */
export async function testBroker(bend: (adapter: BrokerAdapter) => BrokerAdapter = (adapter) => adapter): Promise<{
  readonly broker: Broker
  readonly log: LogLine[]
}> {
  const name = newCallId()
  const log: LogLine[] = []
  const factory = { '~adapter': 'memory', url: `memory:${name}`, create: () => bend(createMemoryAdapter({ name })) }
  return { broker: await connect(factory, { log: (line) => log.push(line), maxPayloadBytes: 2000 }), log }
}

export interface Answer {
  readonly reply: Reply
  readonly value: unknown
  /** Of a reply of type error. */
  readonly error: WireError
}

/** Speaks the wire by hand, as a program without this library would. */
export interface Caller {
  readonly adapter: BrokerAdapter
  publish(method: string, options?: Sent): Promise<string>
  /** The final answer. */
  answerTo(id: string): Promise<Answer>
  call(method: string, options?: Sent): Promise<Answer>
  readonly progress: Reply[]
  deadLetters(): Promise<StoredDeadLetter[]>
  replies(id: string): readonly Reply[]
}

export interface Sent {
  readonly input?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly message?: Partial<Message>
  readonly timeoutMs?: number
}

export async function createCaller(broker: Broker, service: Service): Promise<Caller> {
  const adapter = await broker['~core'].adapter
  const queue = queueOf(service, 'default')
  const answers = new Map<string, Reply[]>()
  const waiters = new Map<string, () => void>()
  const progress: Reply[] = []
  await adapter.declare(queue)
  const inbox = await adapter.openInbox({ leaseMs: 1000, onRecreated: () => {} }, (reply) => {
    if (reply.type === 'progress') return void progress.push(reply)
    answers.set(reply.correlationId, [...(answers.get(reply.correlationId) ?? []), reply])
    waiters.get(reply.correlationId)?.()
  })
  const caller: Caller = {
    adapter,
    progress,
    replies: (id) => answers.get(id) ?? [],
    async publish(method, { input, headers, message, timeoutMs = 10_000 } = {}) {
      const id = message?.id ?? newCallId()
      const outcomes = await adapter.publish(queue, [
        {
          id,
          type: 'call',
          replyTo: message?.type === 'send' ? undefined : inbox.address,
          contentType: 'application/cbor',
          contentEncoding: undefined,
          body: cborCodec.encode(input),
          ...message,
          headers: {
            [HEADER.method]: method,
            ...(message?.type === 'send'
              ? {}
              : { [HEADER.deadline]: String(Date.now() + timeoutMs), [HEADER.sent]: String(Date.now()) }),
            [HEADER.host]: HOST_ID,
            [HEADER.caller]: 'test',
            ...headers,
          },
        },
      ])
      if (outcomes[0]?.status !== 'stored') throw new Error(`not stored: ${outcomes[0]?.status}`)
      return id
    },
    async answerTo(id) {
      while (!answers.has(id)) await new Promise<void>((resolve) => waiters.set(id, resolve))
      const reply = answers.get(id)?.[0]
      if (reply === undefined) throw new Error('an answer came without a reply')
      const value = codecFor(reply.contentType)?.decode(reply.body)
      return { reply, value, error: parseWireError(value) }
    },
    call: async (method, options) => caller.answerTo(await caller.publish(method, options)),
    async deadLetters() {
      const letters: StoredDeadLetter[] = []
      for await (const letter of adapter.deadLetters(queue).list()) letters.push(letter)
      return letters
    },
  }
  return caller
}

/** Waits for what no event tells, with an end. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endsAt = Date.now() + 5000
  while (!(await condition())) {
    if (Date.now() > endsAt) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
