import { expect, test } from 'vitest'
import { letterRecord, noteRecord, readLetter, readLetterNote } from '../../../broker-adapters/kafka/letter-records.ts'
import {
  readReply,
  readRequest,
  replyRecord,
  requestRecord,
  sizeOf,
  timesOf,
} from '../../../broker-adapters/kafka/records.ts'
import type { NewRecord, StoredRecord } from '../../../broker-adapters/kafka/wire.ts'
import type { Message, Reply } from '../../../protocol/message.ts'

const message: Message = {
  id: 'a',
  type: 'call',
  replyTo: 'ns.reply/3/p.1',
  contentType: 'application/cbor',
  contentEncoding: undefined,
  headers: { 'rt-method': 'work', 'rt-key': 'k', tenant: 'ä' },
  body: Uint8Array.of(0, 1, 255).subarray(1),
}
const stored = ({ key, value, headers }: NewRecord, more: Partial<StoredRecord> = {}): StoredRecord => ({
  offset: 7,
  timestamp: 5_000,
  key,
  value,
  headers,
  ...more,
})

test('a request lies in its record as the docs say', () => {
  expect(requestRecord(message)).toEqual({
    key: Buffer.from('k'),
    value: Buffer.of(1, 255),
    headers: {
      'rt-id': 'a',
      'rt-type': 'call',
      'rt-reply-to': 'ns.reply/3/p.1',
      'rt-content-type': 'application/cbor',
      'rt-method': 'work',
      'rt-key': 'k',
      tenant: 'ä',
    },
  })
  const send = { ...message, type: 'send', replyTo: undefined, contentEncoding: 'gzip', headers: {} } as const
  expect(requestRecord(send, { dueAt: 17, expiresAt: 18 })).toEqual({
    key: null,
    value: Buffer.of(1, 255),
    headers: {
      'rt-id': 'a',
      'rt-type': 'send',
      'rt-content-type': 'application/cbor',
      'rt-content-encoding': 'gzip',
      'rt-due': '17',
      'rt-expires': '18',
    },
  })
})

test('it is read as it was stored, without what is of the adapter', () => {
  const record = stored(requestRecord(message, { dueAt: 17, expiresAt: 18 }))
  expect(readRequest(record)).toEqual({ ...message, body: Buffer.from(message.body) })
  expect(timesOf(record)).toEqual({ dueAt: 17, expiresAt: 18 })
  expect(timesOf({ headers: { 'rt-due': 'soon', 'rt-expires': '-1' } })).toEqual({ dueAt: 0, expiresAt: Infinity })
})

test('a record that says nothing is a send of JSON, with an answer where one is asked for', () => {
  const bare = { id: '', type: 'send', replyTo: undefined, contentType: 'application/json', headers: {} }
  expect(readRequest(stored({ key: null, value: null, headers: {} }))).toMatchObject({ ...bare, body: Buffer.alloc(0) })
  const plain = stored({ key: null, value: Buffer.from('{}'), headers: { 'rt-method': 'work', 'rt-reply-to': 'x' } })
  expect(readRequest(plain)).toMatchObject({ type: 'call', replyTo: 'x', headers: { 'rt-method': 'work' } })
  expect(readRequest(stored({ key: null, value: null, headers: { 'rt-type': 'strange' } })).type).toBe('send')
})

test('a reply lies by the key of its inbox, and comes as it was stored', () => {
  const reply: Reply = {
    correlationId: 'a',
    type: 'result',
    contentType: 'application/cbor',
    contentEncoding: 'gzip',
    headers: { 'rt-worker': 'w' },
    body: Buffer.of(1, 2),
  }
  const record = replyRecord(reply, 'p.1')
  expect(record).toEqual({
    key: Buffer.from('p.1'),
    value: Buffer.of(1, 2),
    headers: {
      'rt-id': 'a',
      'rt-type': 'result',
      'rt-content-type': 'application/cbor',
      'rt-content-encoding': 'gzip',
      'rt-worker': 'w',
    },
  })
  expect(readReply(stored(record))).toEqual(reply)
})

test.each([{}, { 'rt-type': 'result' }, { 'rt-id': 'a' }, { 'rt-id': 'a', 'rt-type': 'call' }])(
  'the headers %j make no reply',
  (headers) => {
    expect(readReply(stored({ key: null, value: Buffer.from('x'), headers }))).toBeUndefined()
  },
)

test('a dead letter is its message and why it died; what a stranger left out is filled in', () => {
  const death = { code: 'HANDLER_FAILED', reason: 'attempt 1: no', attempts: 3, at: 4_000 }
  const record = letterRecord({ ...message, delayMs: 5, expiresInMs: 5 }, death)
  expect(record.headers).toMatchObject({
    'rt-id': 'a',
    'rt-dead-code': 'HANDLER_FAILED',
    'rt-dead-reason': 'attempt 1: no',
    'rt-dead-attempts': '3',
    'rt-dead-at': '4000',
  })
  expect(readLetterNote(stored(record))).toBeUndefined()
  expect(readLetter(stored(record))).toEqual({ ...death, message: { ...message, body: Buffer.from(message.body) } })
  const strange = stored({ key: null, value: null, headers: { 'rt-dead-attempts': 'x', 'rt-dead-at': 'y' } })
  expect(readLetter(strange)).toMatchObject({ code: 'CRASHED', attempts: 1, at: 5_000 })
})

test('a note of letters is none, and one that cannot be read is of none', () => {
  const note = { kind: 'gone', by: 'me', offsets: [1, 5] } as const
  expect(readLetterNote(stored(noteRecord(note)))).toEqual(note)
  const headers = { 'rt-dead-note': 'gone' }
  for (const value of [null, Buffer.from('{'), Buffer.from('null'), Buffer.from('5'), Buffer.from('{}')])
    expect(readLetterNote(stored({ key: null, value, headers }))).toMatchObject({ offsets: [] })
})

test('its size is never less than what it takes in a batch', () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`header-${at}`, 'ä'.repeat(at)]))
  for (const one of [message, { ...message, headers: many }, { ...message, body: Buffer.alloc(100_000) }]) {
    const { key, value, headers } = requestRecord(one)
    const bytes =
      (key?.length ?? 0) +
      (value?.length ?? 0) +
      Object.entries(headers).reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0)
    expect(sizeOf({ key, value, headers })).toBeGreaterThan(bytes)
    expect(sizeOf({ key, value, headers })).toBeLessThan(bytes + 1_000)
  }
})
