import { randomUUID } from 'node:crypto'
import { connect } from '../../../broker-adapters/connect.ts'
import type { Broker } from '../../../broker-adapters/broker.ts'
import type { Delivery } from '../../../broker-adapters/adapter.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { queueOf } from '../../../contract/service-facts.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import type { ReplyType } from '../../../protocol/message.ts'

export const echo = defineService('echo', {
  methods: {
    say: method({
      input: type<unknown>(),
      output: type<unknown>(),
      errors: { BUSY: type<{ again: number }>() },
      progress: type<number>(),
    }),
    note: method({ input: type<unknown>(), oneWay: true }),
  },
})

export async function freshBroker(): Promise<Broker> {
  return connect(`memory:${randomUUID()}`)
}

/** Consumes the queue through the seam alone, so that a test decides when and what is answered. */
export async function consumeEcho(broker: Broker, onDelivery: (delivery: Delivery) => void): Promise<void> {
  const adapter = await broker['~core'].adapter
  const queue = queueOf(echo, 'default')
  await adapter.declare(queue)
  await adapter.consume(queue, { prefetch: 1000 }, onDelivery)
}

export async function answer(
  broker: Broker,
  { message }: Pick<Delivery, 'message'>,
  { type = 'result', value, headers = {} }: { type?: ReplyType; value: unknown; headers?: Record<string, string> },
): Promise<void> {
  const adapter = await broker['~core'].adapter
  await adapter.reply(message.replyTo ?? '', [
    {
      correlationId: message.id,
      type,
      contentType: cborCodec.contentType,
      contentEncoding: undefined,
      headers,
      body: cborCodec.encode(value),
    },
  ])
}

export function inputOf({ message }: Pick<Delivery, 'message'>): unknown {
  return cborCodec.decode(message.body)
}
