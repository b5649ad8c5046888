import { expect, test } from 'vitest'
import { packReply, readReply, unpackReply, writeMeta } from '../../../broker-adapters/redis/reply-data.ts'
import type { Reply } from '../../../protocol/message.ts'

const reply: Reply = {
  correlationId: 'a',
  type: 'result',
  contentType: 'application/cbor',
  contentEncoding: 'gzip',
  headers: { 'rt-worker': 'w', text: 'line\nbreak ä' },
  body: Buffer.from([0, 10, 255, 123]),
}

test('a reply comes as it was stored, and as it was said', () => {
  expect(readReply(Buffer.from(writeMeta(reply)), Buffer.from(reply.body))).toEqual(reply)
  expect(unpackReply(packReply(reply))).toEqual(reply)
  const bare = { ...reply, contentEncoding: undefined, body: Buffer.alloc(0), headers: {} }
  expect(unpackReply(packReply(bare))).toEqual(bare)
})

test.each([
  '',
  'x',
  'null',
  '5',
  '[]',
  '{}',
  '{"type":"result"}',
  '{"correlationId":"a"}',
  '{"correlationId":5,"type":"end"}',
])('%s is no reply', (meta) => {
  expect(readReply(Buffer.from(meta), Buffer.alloc(0))).toBeUndefined()
  expect(unpackReply(Buffer.from(`${meta}\nbody`))).toBeUndefined()
  expect(unpackReply(Buffer.from(meta))).toBeUndefined()
})

test("a stranger's headers are taken where they are text", () => {
  const meta = '{"correlationId":"a","type":"error","headers":{"a":"1","b":2,"c":null,"__proto__":"x"},"contentType":5}'
  const read = readReply(Buffer.from(meta), Buffer.of(1))
  expect(read).toMatchObject({ type: 'error', contentType: 'application/json', contentEncoding: undefined })
  expect(Object.entries(read?.headers ?? {})).toEqual([['a', '1']])
})
