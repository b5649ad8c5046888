import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BrokerAdapter, Delivery } from '../../../broker-adapters/adapter.ts'
import { hubFile, journalFile, latestEpoch, readHub } from '../../../broker-adapters/embedded/election.ts'
import { readJournal } from '../../../broker-adapters/embedded/journal.ts'
import { thisProcess } from '../../../broker-adapters/embedded/machine.ts'
import { createFrameWriter, OP, type FrameWriter } from '../../../broker-adapters/embedded/wire.ts'
import { queueName } from '../../../protocol/queue-names.ts'
import { messageOf, openEmbedded, QUEUE, type Opened } from '../../support/embedded-adapter.ts'
import { makeDirectory } from '../../support/embedded-processes.ts'

let root = ''
let dir = ''
const open: BrokerAdapter[] = []

beforeEach(() => {
  const made = makeDirectory()
  root = made.root
  dir = made.dir
})
afterEach(async () => {
  for (const adapter of open.splice(0)) await adapter.stop()
  rmSync(root, { recursive: true, force: true })
})

async function start(): Promise<Opened> {
  const opened = openEmbedded({ dir })
  open.push(opened.adapter)
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened
}
function bytesOf(write: (writer: FrameWriter) => FrameWriter): Buffer {
  const writer = createFrameWriter()
  write(writer).end()
  return Buffer.concat(writer.take())
}
const HELLO = { ...thisProcess(), format: 1, session: 'stranger', canHost: false }
const hello = (value: unknown = HELLO): Buffer => bytesOf((frame) => frame.begin(OP.HELLO).str(JSON.stringify(value)))

function dial(): Socket {
  return connect(join(dir, readHub(dir, latestEpoch(dir))?.socket ?? 'none')).on('error', () => {})
}
/** Sends it, and resolves when the hub has ended the connection. */
async function endedBy(bytes: Buffer): Promise<void> {
  const socket = dial()
  const closed = once(socket, 'close')
  socket.resume().write(bytes)
  await closed
}

const QUEUE_NAME = queueName('replyto', QUEUE)
const UNKNOWN: readonly (readonly [string, Buffer])[] = [
  ['a length of nothing', Buffer.from([0, 0, 0, 0, 1])],
  ['a length of 4 GiB', Buffer.from([255, 255, 255, 255, 1])],
  ['a length of 1 GiB before it has said who it is', Buffer.from([0x40, 0, 0, 0, 1])],
  ['a request before HELLO', bytesOf((frame) => frame.begin(OP.DECLARE).u32(1).str('q'))],
  ['HELLO twice', Buffer.concat([hello(), hello()])],
  ['no JSON', bytesOf((frame) => frame.begin(OP.HELLO).str('{'))],
  ['null', hello(null)],
  ['an array', hello([])],
  ['a session that is a number', hello({ ...HELLO, session: 5 })],
  ['a session of 100 kB', hello({ ...HELLO, session: 'x'.repeat(60_000) })],
  ['a process that is text', hello({ ...HELLO, pid: '1' })],
  ...(
    [
      ['an operation that does not exist', (frame) => frame.begin(255).u32(1)],
      ['fields that are missing', (frame) => frame.begin(OP.PUBLISH).u32(1)],
      ['a text longer than its frame', (frame) => frame.begin(OP.DECLARE).u32(1).u8(255).u32(0xffff_ffff)],
      ['four billion messages', (frame) => frame.begin(OP.PUBLISH).u32(1).str(QUEUE_NAME).u32(0xffff_ffff)],
      ['four billion hand-overs', (frame) => frame.begin(OP.ACK).u32(0xffff_ffff)],
      ['four billion replies', (frame) => frame.begin(OP.REPLY).u32(1).str('a').u32(0xffff_ffff)],
      ['four billion taken ones', (frame) => frame.begin(OP.TAKEN).u32(0xffff_ffff)],
      [
        'four billion resumed',
        (frame) => frame.begin(OP.CONSUME).u32(1).u32(1).str(QUEUE_NAME).u32(1).u8(1).u32(0xffff_ffff),
      ],
      ['a queue without a name', (frame) => frame.begin(OP.DECLARE).u32(1).str('')],
      ['a queue with a name of 5 kB', (frame) => frame.begin(OP.DECLARE).u32(1).str('x'.repeat(5_000))],
      [
        'an inbox with a name of 5 kB',
        (frame) => frame.begin(OP.OPEN_INBOX).u32(1).u32(1).str('x'.repeat(5_000)).num(1),
      ],
      ['a lease of NaN', (frame) => frame.begin(OP.OPEN_INBOX).u32(1).u32(1).str('a').num(NaN)],
      ['a lease without end', (frame) => frame.begin(OP.OPEN_INBOX).u32(1).u32(1).str('a').num(Infinity)],
      ['a filter that is null', (frame) => frame.begin(OP.LETTERS).u32(1).str(QUEUE_NAME).str('null').num(0)],
      ['a filter that is no JSON', (frame) => frame.begin(OP.PURGE_LETTERS).u32(1).str(QUEUE_NAME).str('{{')],
      [
        'an id of 70 kB',
        (frame) =>
          frame
            .begin(OP.PUBLISH)
            .u32(1)
            .str(QUEUE_NAME)
            .u32(1)
            .str('x'.repeat(70_000))
            .str('')
            .num(0)
            .num(0)
            .u32(0)
            .u32(0),
      ],
    ] satisfies [string, (frame: FrameWriter) => FrameWriter][]
  ).map(([what, write]) => [what, Buffer.concat([hello(), bytesOf(write)])] as const),
]

describe('bound: a hub ends the connection that sends', () => {
  test('each of them, and goes on for all others', async () => {
    const { adapter, states } = await start()
    await adapter.publish(QUEUE, [messageOf('m1')])
    const before = states.length
    for (const [what, bytes] of UNKNOWN) {
      await endedBy(bytes)
      expect([what, (await adapter.stats(QUEUE)).ready]).toEqual([what, 1])
    }
    expect(states.slice(before)).toEqual([])
    expect(latestEpoch(dir)).toBe(1)
  })
})

test('bound: a length alone takes no memory', async () => {
  const { adapter } = await start()
  const sockets = Array.from({ length: 20 }, () => {
    const socket = dial().resume()
    socket.write(hello())
    socket.write(Buffer.from([0x40, 0, 0, 0, OP.PUBLISH])) // 1 GiB is to follow
    return socket
  })
  expect(await adapter.publish(QUEUE, [messageOf('m1')])).toEqual([{ status: 'stored' }])
  expect(process.memoryUsage().arrayBuffers + process.memoryUsage().external).toBeLessThan(512 * 1024 * 1024)
  for (const socket of sockets) socket.destroy()
})

test('bound: what is no envelope reaches a worker as a message that cannot be read', async () => {
  const { adapter, states } = await start()
  const socket = dial().resume()
  const blobs = [[], [15], [0, 200, 1], [0, 1, 97, 255, 255, 255, 255, 255], Array.from({ length: 100 }, () => 255)]
  socket.write(hello())
  const frame = createFrameWriter().begin(OP.DECLARE).u32(1).str('unused')
  frame.end()
  for (const [index, blob] of blobs.entries()) {
    frame
      .begin(OP.PARK)
      .u32(index)
      .str(QUEUE_NAME)
      .str(`p${index}`)
      .str('CODE')
      .str('reason')
      .u32(1)
      .bytes(Uint8Array.from(blob))
    frame.end()
  }
  for (const piece of frame.take()) socket.write(piece)
  await expect.poll(async () => (await adapter.stats(QUEUE)).dead).toBe(blobs.length)
  const letters = []
  for await (const letter of adapter.deadLetters(QUEUE).list({ method: 'x' })) letters.push(letter)
  expect(letters).toEqual([])
  for await (const letter of adapter.deadLetters(QUEUE).list()) letters.push(letter.message.contentType)
  expect(letters).toEqual(blobs.map(() => ''))
  expect(states.at(-1)).toMatchObject({ state: 'up' })
  socket.destroy()
})

const GARBAGE: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['zeros', Buffer.alloc(100)],
  ['ones', Buffer.alloc(100, 255)],
  ['a session that is null', Buffer.concat([Buffer.from([2, 0, 0, 0, 9, 0, 4]), Buffer.from('null')])],
  ['a session without fields', Buffer.concat([Buffer.from([2, 0, 0, 0, 9, 0, 2]), Buffer.from('{}')])],
  [
    'a session with a process that is text',
    Buffer.concat([Buffer.from([2, 0, 0, 0, 9, 0, 11]), Buffer.from('{"pid":"1"}')]),
  ],
  ['a text longer than the file', Buffer.from([2, 0, 0, 0, 9, 255, 255, 123])],
]

test.each(GARBAGE)('bound: a journal that ends in %s is read up to there', async (_what, garbage) => {
  const { adapter } = await start()
  await adapter.publish(QUEUE, [messageOf('m1'), messageOf('m2')])
  await adapter.consume(QUEUE, { prefetch: 1 }, (delivery: Delivery) => void delivery)
  await expect.poll(async () => (await adapter.stats(QUEUE)).active).toBe(1)
  await adapter.stop()
  const file = journalFile(dir, 1)
  const before = readJournal(file)
  appendFileSync(file, garbage)
  expect(readJournal(file)).toEqual(before)
  const next = await start()
  expect(await next.adapter.stats(QUEUE)).toMatchObject({ ready: 2 })
})

test.each([
  'null',
  '[]',
  '5',
  '{}',
  '{"format":1,"pid":"1"}',
  '{"__proto__":{"format":1}}',
  '\0'.repeat(50),
  '['.repeat(100_000),
])('bound: a hub file that holds %j is a dead hub', async (text) => {
  const first = await start()
  await first.adapter.publish(QUEUE, [messageOf('m1')])
  await first.adapter.stop()
  writeFileSync(hubFile(dir, 2), text)
  if (text === 'null') writeFileSync(join(dir, 'try-3'), text) // is waited for a while, and then not any more
  const { adapter } = await start()
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 1 })
  expect(readdirSync(dir).some((name) => name.startsWith('damaged-'))).toBe(false)
  expect(readFileSync(hubFile(dir, latestEpoch(dir)), 'utf8')).toContain('"format"')
})
