import type { ConsumeMessage } from 'amqplib'
import { expect, test } from 'vitest'
import {
  deathOf,
  handBacksOf,
  readReply,
  readRequest,
  replyProperties,
  requestProperties,
} from '../../../broker-adapters/rabbitmq/properties.ts'
import type { Message } from '../../../protocol/message.ts'

function raw(properties: Record<string, unknown>, redelivered = false): ConsumeMessage {
  return { content: Buffer.from('{}'), fields: { redelivered }, properties } as unknown as ConsumeMessage // what is read of it
}
const message: Message = {
  id: 'a',
  type: 'call',
  replyTo: 'ns.reply',
  contentType: 'application/json',
  contentEncoding: undefined,
  headers: { 'rt-method': 'work', 'rt-sent': '7500' },
  body: Buffer.from('{}'),
}

test('a request comes as it was sent', () => {
  const properties = requestProperties(message)
  expect(properties).toMatchObject({ messageId: 'a', timestamp: 7, deliveryMode: 2, mandatory: true })
  expect(properties).not.toHaveProperty('contentEncoding')
  const read = readRequest(raw({ ...properties }))
  expect({ ...read, headers: { ...read.headers } }).toEqual(message)
})

test("a user's CC and BCC route nowhere and come as they were", () => {
  const headers = { CC: 'other', BCC: 'another', cc: 'kept' }
  const written = requestProperties({ ...message, headers })
  expect(written.headers).toEqual({ 'rt-user-CC': 'other', 'rt-user-BCC': 'another', cc: 'kept' })
  expect({ ...readRequest(raw({ ...written })).headers }).toEqual(headers)
  const reply = { correlationId: 'a', type: 'result', contentType: 'x', headers, body: Buffer.of(1) } as const
  expect(replyProperties({ ...reply, contentEncoding: undefined }).headers).not.toHaveProperty('CC')
})

test('whatever a stranger wrote is flat text', () => {
  const table: Record<string, unknown> = {
    number: 5,
    yes: true,
    long: 9_007_199_254_740_993n,
    bytes: Buffer.from('b'),
    time: { '!': 'timestamp', value: 7 },
    list: [1, 'a'],
    nothing: null,
    ['__proto__x']: 'p',
  }
  Object.defineProperty(table, '__proto__', { value: 'mine', enumerable: true })
  const { headers } = readRequest(raw({ headers: table }))
  expect(Object.getPrototypeOf(headers)).toBeNull()
  expect(new Map(Object.entries(headers))).toEqual(
    new Map([
      ['number', '5'],
      ['yes', 'true'],
      ['long', '9007199254740993'],
      ['bytes', 'b'],
      ['time', '{"!":"timestamp","value":7}'],
      ['list', '[1,"a"]'],
      ['__proto__x', 'p'],
      ['__proto__', 'mine'],
    ]),
  )
})

test('of a stranger, what is missing is told by the rest', () => {
  expect(readRequest(raw({}))).toMatchObject({ id: '', type: 'send', replyTo: undefined })
  expect(readRequest(raw({ correlationId: 'c', replyTo: 'q', type: 'com.acme.Order' }))).toMatchObject({
    id: 'c',
    type: 'call',
    contentType: 'application/json',
  })
  expect(readReply(raw({ type: 'result' }))).toBeUndefined()
  expect(readReply(raw({ type: 'other', correlationId: 'c' }))).toBeUndefined()
  expect(readReply(raw({ type: 'result', correlationId: 'c' }))).toMatchObject({ correlationId: 'c', type: 'result' })
})

test("the server's own headers are read, and not handed on", () => {
  const headers = { 'x-delivery-count': 3, 'x-death': [{}], 'x-first-death-reason': 'expired', 'x-mine': 'm' }
  expect({ ...readRequest(raw({ headers })).headers }).toEqual({ 'x-mine': 'm' })
  expect(handBacksOf(raw({ headers }))).toBe(3)
  expect(handBacksOf(raw({ headers: {} }, true))).toBe(1)
  expect(handBacksOf(raw({}))).toBe(0)
  expect(deathOf(raw({ headers }))).toBe('expired')
  expect(deathOf(raw({}))).toBeUndefined()
  // Delayed first: the newest death stands in front.
  const deaths = [{ reason: 'delivery_limit' }, { reason: 'expired' }]
  expect(deathOf(raw({ headers: { ...headers, 'x-death': deaths } }))).toBe('delivery_limit')
})
