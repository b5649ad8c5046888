import { expect, test } from 'vitest'
import { nameOf, readDelivery, readJob, writeData } from '../../../broker-adapters/redis/job-data.ts'
import type { Message } from '../../../protocol/message.ts'
import { generationKey } from '../../../protocol/replay.ts'

const message: Message = {
  id: 'a',
  type: 'call',
  replyTo: 'ns.reply.x',
  contentType: 'application/json',
  contentEncoding: undefined,
  headers: { 'rt-method': 'work', 'rt-key': 'k' },
  body: Buffer.from('{"size":5}'),
}
const read = (data: unknown, { id = 'job', name = 'work' } = {}): Message =>
  readDelivery({ id, name, data: typeof data === 'string' ? data : JSON.stringify(data) }).message
const textOf = ({ body }: Message): string => Buffer.from(body).toString()

test('a message comes as it was stored, whatever its body is', () => {
  const bodies = [
    Buffer.from('{"size":5}'),
    Buffer.from('"ä \u{1F600} \\u0000"'),
    Buffer.alloc(0),
    Buffer.from([0x22, 0xff, 0x22]), // called JSON, and no UTF-8
    Buffer.from('\ufeff{}'), // a mark of byte order is part of the bytes
    Buffer.from([0xed, 0xa0, 0x80]), // half of a pair
  ]
  for (const body of bodies) {
    const back = read(writeData({ ...message, body }))
    expect(Buffer.from(back.body).toString('hex')).toBe(body.toString('hex'))
    expect({ ...back, body, delayMs: undefined }).toMatchObject({ ...message, body })
  }
  const cbor = { ...message, contentType: 'application/cbor', contentEncoding: 'gzip', replyTo: undefined }
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte)
  const view = all.subarray(7, 250)
  const back = read(writeData({ ...cbor, type: 'send', body: view }))
  expect([...back.body]).toEqual([...view])
  expect(back).toMatchObject({ type: 'send', replyTo: undefined, contentEncoding: 'gzip' })
})

test('people can read what is stored: the name is the method, a JSON body is text', () => {
  expect(nameOf(message)).toBe('work')
  expect(nameOf({ ...message, headers: {} })).toBe('unknown')
  expect(nameOf({ ...message, headers: { 'rt-method': '' } })).toBe('unknown')
  expect(JSON.parse(writeData(message))).toEqual({
    id: 'a',
    type: 'call',
    replyTo: 'ns.reply.x',
    contentType: 'application/json',
    headers: message.headers,
    body: '{"size":5}',
  })
  const cbor = writeData({ ...message, contentType: 'application/cbor', body: Buffer.of(1, 2) })
  expect(JSON.parse(cbor)).toMatchObject({ bodyBase64: 'AQI=' })
})

test('an expiry is the time at which it ends, and a copy with other headers has none', () => {
  const stored = writeData({ ...message, expiresInMs: 10.2 }, { now: 1_000 })
  expect(readJob({ id: 'a', name: 'work', data: stored }).expiresAt).toBe(1_011)
  const copy = writeData({ ...message, expiresInMs: 10 }, { headers: { 'rt-attempt': '2' } })
  expect(readJob({ id: 'a', name: 'work', data: copy })).toMatchObject({
    expiresAt: Infinity,
    message: { headers: { 'rt-attempt': '2' } },
  })
})

test('what people add by plain BullMQ is a message: the name is the method, `input` the body', () => {
  const plain = read({ input: { size: 5 } }, { id: '17', name: 'resize' })
  expect(plain).toMatchObject({ id: 'job-17', type: 'send', contentType: 'application/json', replyTo: undefined })
  expect(plain.headers['rt-method']).toBe('resize')
  expect(textOf(plain)).toBe('{"size":5}')
  expect(textOf(read({ input: null }))).toBe('null')
  expect(read({ id: 5, input: 1 }).id).toBe('job-5')
  expect(read({ input: 1, replyTo: 'x' }).type).toBe('call')
  expect(read({ input: 1, headers: { 'rt-method': 'other' } }).headers['rt-method']).toBe('other')
})

test.each(['', 'not json', '[1]', '5', 'null', '"text"', '{}', '{"headers":5}', '{"id":{},"body":5,"type":7}'])(
  "the data %s is nobody's message, and read without harm",
  (data) => {
    const message = read(data, { id: 'j', name: 'n' })
    expect([message.id, message.headers['rt-method'], message.type]).toEqual(['j', 'n', 'send'])
    // No codec takes it: it becomes a dead letter, which shows what was there.
    expect(message.contentType).toBe('text/plain')
    expect(textOf(message)).toBe(data)
  },
)

test('headers are flat text, and have no names that JavaScript gives a meaning', () => {
  const data = '{"input":1,"headers":{"number":5,"yes":true,"list":[1],"none":null,"__proto__":{"polluted":"1"}}}'
  const { headers } = read(data)
  expect(headers).toMatchObject({ number: '5', yes: 'true', list: '[1]', 'rt-method': 'work' })
  expect(Object.keys(headers).toSorted()).toEqual(['list', 'number', 'rt-method', 'yes'])
  expect('polluted' in headers).toBe(false)
})

test('a dead letter says why, and put back by the means of BullMQ it is the next generation', () => {
  const dead = { code: 'HANDLER_FAILED', reason: 'no', attempts: 3, at: 5_000 }
  const late = { ...message, headers: { ...message.headers, 'rt-attempt': '3', 'rt-deadline': '1' } }
  const data = writeData(late, { dead })
  expect(readJob({ id: 'dead~a', name: 'work', data })).toMatchObject({ dead, message: { id: 'a' } })
  const again = read(data, { id: 'dead~a' })
  expect(again.headers).toEqual({ 'rt-method': 'work', 'rt-key': 'k', 'rt-replay': '1' })
  expect(generationKey(again)).toBe('a#1')
})

test('what is wrong in the reason of a letter is filled in', () => {
  const data = JSON.stringify({ input: 1, dead: { code: 5, attempts: 'x' } })
  expect(readJob({ id: 'a', name: 'n', data }).dead).toEqual({ code: '5', reason: '', attempts: 0, at: 0 })
  expect(readJob({ id: 'a', name: 'n', data: '{"dead":"yes"}' }).dead).toBeUndefined()
})
