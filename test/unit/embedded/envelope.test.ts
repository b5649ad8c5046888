import { expect, test } from 'vitest'
import {
  readMessage,
  readMessageBytes,
  readReplyBytes,
  writeMessage,
  writeReply,
} from '../../../broker-adapters/embedded/envelope.ts'
import { createFrameParser } from '../../../broker-adapters/embedded/frame-parser.ts'
import {
  createFrameWriter,
  fieldsOf,
  type FrameReader,
  type FrameWriter,
} from '../../../broker-adapters/embedded/wire.ts'
import type { Message, Reply } from '../../../protocol/message.ts'

const MESSAGE: Message = {
  id: 'a-1',
  type: 'call',
  replyTo: 'ns.i.p.1',
  contentType: 'application/cbor',
  contentEncoding: undefined,
  headers: { 'rt-v': '1', 'rt-method': 'echo', tenant: 'grün', 'rt-history': 'x'.repeat(70_000), empty: '' },
  body: new Uint8Array([1, 2, 3]),
}
const REPLY: Reply = {
  correlationId: 'a-1',
  type: 'error',
  contentType: 'application/json',
  contentEncoding: 'zstd',
  headers: { 'rt-worker': 'w', 'rt-seq': '3' },
  body: new Uint8Array(5_000).fill(9),
}

function through<Value>(write: (writer: FrameWriter) => void, read: (fields: FrameReader) => Value): Value | undefined {
  const writer = createFrameWriter().begin(1)
  write(writer)
  writer.end()
  let value: Value | undefined
  createFrameParser((_op, fields) => (value = read(fields)))(Buffer.concat(writer.take()))
  return value
}

test.each([
  ['a call', MESSAGE],
  ['a send without an inbox', { ...MESSAGE, type: 'send', replyTo: undefined, headers: {} }],
  ['one with an encoding and no body', { ...MESSAGE, contentEncoding: 'gzip', body: new Uint8Array() }],
  [
    'many headers of others',
    { ...MESSAGE, headers: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`h${n}`, `${n}`])) },
  ],
] satisfies [string, Message][])('%s is read as it was written', (_what, message) => {
  const write = (writer: FrameWriter): void => writeMessage(writer, message, message.headers)
  expect(through(write, (fields) => readMessageBytes(message.id, fields))).toEqual(message)
})

test('a reply is read as it was written', () => {
  expect(
    through(
      (writer) => writeReply(writer, REPLY),
      (fields) => readReplyBytes(REPLY.correlationId, fields),
    ),
  ).toEqual(REPLY)
})

test('bodies that are read one after the other do not share bytes', () => {
  const bodies: Uint8Array[] = []
  const writer = createFrameWriter()
  for (let n = 0; n < 3; n++)
    writer.begin(n).bytes(new Uint8Array(20_000).fill(n)).bytes(new Uint8Array(4_000).fill(n)).end()
  const parse = createFrameParser((_op, fields) => bodies.push(fields.body(), fields.body()))
  parse(Buffer.concat(writer.take()))
  expect(bodies.map((body) => [body.length, new Set(body).size, body[0]])).toEqual(
    [0, 0, 1, 1, 2, 2].map((n, index) => [index % 2 === 0 ? 20_000 : 4_000, 1, n]),
  )
})

test('what is no envelope is a message, or an error, that cannot be read; what follows can', () => {
  const message = { id: 'a', type: 'send', contentType: '', headers: {}, body: new Uint8Array() }
  for (const bytes of [[15], [], [0, 200], [0, 1, 97, 255, 255, 255, 255, 255]]) {
    const blob = Buffer.from(bytes)
    expect(readMessage('a', fieldsOf(blob))).toMatchObject(message)
    const read = through(
      (writer) => writer.bytes(blob).str('next'),
      (fields) => [readMessageBytes('a', fields), fields.str()],
    )
    expect(read).toMatchObject([message, 'next'])
    const reply = through(
      (writer) => writer.bytes(blob),
      (fields) => readReplyBytes('a', fields),
    )
    expect(reply).toMatchObject({ correlationId: 'a', type: 'error', contentType: '' })
  }
})
