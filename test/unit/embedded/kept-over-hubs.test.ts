// What a new hub has to know of the one that died: turns of keys, fences, priority, pauses, mailboxes, dead letters.
import { rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BrokerAdapter, Delivery } from '../../../broker-adapters/adapter.ts'
import type { EmbeddedOptions } from '../../../broker-adapters/embedded/index.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Message, QueueRef, Reply } from '../../../protocol/message.ts'
import { messageOf, openEmbedded, QUEUE as PLAIN, resultOf, type Opened } from '../../support/embedded-adapter.ts'
import { makeDirectory, startPeer, type Peer } from '../../support/embedded-processes.ts'

const QUEUE: QueueRef = { ...PLAIN, features: { keyed: true, priority: true, frames: false } }
const KEEP_MS = 60_000

let root = ''
let dir = ''
const open: BrokerAdapter[] = []
const peers: Peer[] = []

beforeEach(() => {
  const made = makeDirectory()
  root = made.root
  dir = made.dir
})
afterEach(async () => {
  await closeAll()
  for (const peer of peers.splice(0)) {
    peer.kill('SIGKILL')
    await peer.exited
  }
  rmSync(root, { recursive: true, force: true })
})

async function closeAll(): Promise<void> {
  for (const adapter of open.splice(0).toReversed()) await adapter.stop()
}
/** A process of its own that is the hub and does nothing else. */
async function startHub(): Promise<Peer> {
  const peer = startPeer(root, {
    name: `hub${peers.length}`,
    embedded: { dir },
    sends: 0,
    calls: 0,
    works: false,
  })
  peers.push(peer)
  await peer.line('up')
  return peer
}
async function start(more: Partial<EmbeddedOptions> = {}): Promise<Opened> {
  const opened = openEmbedded({ dir, ...more })
  open.push(opened.adapter)
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened
}
async function killHub(hub: Peer, ...survivors: Opened[]): Promise<void> {
  const up = Promise.all(survivors.map((survivor) => survivor.next('up')))
  hub.kill('SIGKILL')
  await hub.exited
  await up
}
async function publish(adapter: BrokerAdapter, ...messages: Message[]): Promise<void> {
  const outcomes = await adapter.publish(QUEUE, messages)
  expect(outcomes.map(({ status }) => status)).toEqual(messages.map(() => 'stored'))
}
function ofKey(id: string, key: string, more: Partial<Message> = {}): Message {
  return messageOf(id, { headers: { [HEADER.key]: key }, ...more })
}
async function collect(adapter: BrokerAdapter, prefetch = 20) {
  const all: Delivery[] = []
  await adapter.consume(QUEUE, { prefetch }, (delivery) => all.push(delivery))
  return {
    all,
    ids: () => all.map(({ message }) => message.id),
    async came(count: number) {
      await expect.poll(() => all.length, { timeout: 10_000 }).toBe(count)
    },
  }
}
async function statsUntil(adapter: BrokerAdapter, wanted: Record<string, unknown>): Promise<void> {
  await expect.poll(() => adapter.stats(QUEUE), { timeout: 10_000 }).toMatchObject(wanted)
}
async function read(adapter: BrokerAdapter, id: string, createForMs?: number) {
  const got: Reply[] = []
  const mailbox = await adapter.openMailbox(id, { createForMs }, (reply) => got.push(reply))
  return { ...mailbox, got }
}

test('one of a key stays out over the death of its hub, the order is kept, and the fence grows', async () => {
  const hub = await startHub()
  const one = await start()
  const other = await start()
  const consumer = await collect(one.adapter)
  await publish(other.adapter, ofKey('a1', 'a'), ofKey('a2', 'a'), ofKey('a3', 'a'), ofKey('b1', 'b'))
  await consumer.came(2)
  await killHub(hub, one, other)
  expect(consumer.all.map(({ isLost }) => isLost)).toEqual([false, false])
  await publish(other.adapter, ofKey('a4', 'a'), ofKey('c1', 'c'))
  await consumer.came(3)
  consumer.all[0]?.release()
  await consumer.came(4)
  for (const index of [3, 4, 5, 6]) {
    await consumer.came(index + 1)
    consumer.all[index]?.ack()
  }
  expect(consumer.ids()).toEqual(['a1', 'b1', 'c1', 'a1', 'a2', 'a3', 'a4'])
  const ofA = consumer.all.filter(({ message }) => message.headers[HEADER.key] === 'a').map(({ fence }) => fence ?? 0)
  expect(ofA).toEqual(ofA.toSorted((x, y) => x - y))
  expect(new Set(ofA).size).toBe(5)
})

test('a fence is above those of all hubs before, also when nobody of the old processes lives', async () => {
  const fences: number[] = []
  for (let round = 0; round < 3; round++) {
    const { adapter } = await start()
    const consumer = await collect(adapter)
    await publish(adapter, ofKey(`a${round}`, 'a'))
    await consumer.came(1)
    fences.push(consumer.all[0]?.fence ?? 0)
    consumer.all[0]?.ack()
    await statsUntil(adapter, { ready: 0, active: 0 })
    await closeAll()
  }
  expect(fences).toEqual(fences.toSorted((x, y) => x - y))
  expect(new Set([0, ...fences]).size).toBe(4)
})

test('what waits for its retry keeps the turn of its key over the death of its hub', async () => {
  const hub = await startHub()
  const one = await start()
  const consumer = await collect(one.adapter)
  await publish(one.adapter, ofKey('a1', 'a'), ofKey('a2', 'a'))
  await consumer.came(1)
  await consumer.all[0]?.retry({ delayMs: 600_000, headers: { [HEADER.attempt]: '2' } })
  await killHub(hub, one)
  await publish(one.adapter, ofKey('a3', 'a'), ofKey('b1', 'b'))
  await consumer.came(2)
  expect(await one.adapter.stats(QUEUE)).toMatchObject({ ready: 2, delayed: 1, active: 1 })
  // And of everything.
  await closeAll()
  const again = await start()
  const later = await collect(again.adapter)
  await later.came(1)
  expect(await again.adapter.stats(QUEUE)).toMatchObject({ ready: 2, delayed: 1, active: 1 })
  expect(await again.adapter.remove?.(QUEUE, 'a1')).toBe(false)
  await later.came(2)
  expect([...consumer.ids(), ...later.ids()]).toEqual(['a1', 'b1', 'b1', 'a2'])
})

test('a delayed one of a key that becomes due while another runs does not run beside it at the next hub', async () => {
  const hub = await startHub()
  const one = await start()
  const consumer = await collect(one.adapter)
  await publish(one.adapter, ofKey('late', 'a', { delayMs: 300 }))
  await publish(one.adapter, ofKey('a1', 'a'))
  await consumer.came(1)
  await statsUntil(one.adapter, { ready: 1, delayed: 0, active: 1 })
  await killHub(hub, one)
  await publish(one.adapter, ofKey('b1', 'b'))
  await consumer.came(2)
  consumer.all[0]?.ack()
  await consumer.came(3)
  expect(consumer.ids()).toEqual(['a1', 'b1', 'late'])
})

test('what is high is first at the next hub too, also a retry of it', async () => {
  const hub = await startHub()
  const one = await start()
  const high = { headers: { [HEADER.priority]: 'high' } }
  await publish(one.adapter, messageOf('n1'), messageOf('h1', high), messageOf('n2'), messageOf('h2', high))
  const worker = await start()
  const first = await collect(worker.adapter, 1)
  await first.came(1)
  await first.all[0]?.retry({ delayMs: 50, headers: {} })
  await worker.adapter.stop()
  await killHub(hub, one)
  await statsUntil(one.adapter, { ready: 4, delayed: 0, active: 0 })
  const consumer = await collect(one.adapter, 1)
  for (let count = 1; count <= 4; count++) {
    await consumer.came(count)
    consumer.all[count - 1]?.ack()
  }
  expect(consumer.ids()).toEqual(['h2', 'h1', 'n1', 'n2'])
})

test('a paused queue stays paused, empty or not, over the death of its hub and a restart of everything', async () => {
  const hub = await startHub()
  const one = await start()
  const empty: QueueRef = { ...QUEUE, service: 'empty' }
  const consumer = await collect(one.adapter)
  await one.adapter.setPaused(QUEUE, true)
  await one.adapter.setPaused(empty, true)
  await publish(one.adapter, messageOf('m1'))
  await killHub(hub, one)
  expect(await one.adapter.stats(QUEUE)).toMatchObject({ ready: 1, isPaused: true, consumers: 1 })
  await closeAll()
  const again = await start()
  const later = await collect(again.adapter)
  expect(await again.adapter.stats(QUEUE)).toMatchObject({ ready: 1, active: 0, isPaused: true })
  expect(await again.adapter.stats(empty)).toMatchObject({ ready: 0, isPaused: true })
  await again.adapter.setPaused(QUEUE, false)
  await later.came(1)
  expect(consumer.all).toHaveLength(0)
  await closeAll()
  expect(await (await start()).adapter.stats(QUEUE)).toMatchObject({ isPaused: false })
})

test('a mailbox and its outcome outlive their hub and a restart of everything; a reader gets an outcome once', async () => {
  const hub = await startHub()
  const one = await start()
  const [answered, waiting] = [
    await read(one.adapter, 'answered', KEEP_MS),
    await read(one.adapter, 'waiting', KEEP_MS),
  ]
  expect(await one.adapter.reply(answered.address, [resultOf('answered')])).toEqual(['stored'])
  await expect.poll(() => answered.got.length).toBe(1)
  await killHub(hub, one)
  const other = await start()
  expect((await read(other.adapter, 'answered')).got).toHaveLength(1)
  expect((await read(other.adapter, 'waiting')).isFound).toBe(true)
  expect(await other.adapter.reply(waiting.address, [resultOf('waiting')])).toEqual(['stored'])
  await expect.poll(() => waiting.got.length).toBe(1)
  expect([answered.got.length, answered.isFound]).toEqual([1, false])
  await closeAll()
  const again = await start()
  for (const id of ['answered', 'waiting']) {
    const { got, isFound } = await read(again.adapter, id)
    expect([isFound, ...got]).toEqual([true, resultOf(id)])
  }
})

test('a reply into a mailbox ends its request in one transaction: it does not run again, whoever dies', async () => {
  const hub = await startHub()
  const caller = await start()
  const worker = await start()
  const mailbox = await read(caller.adapter, 'm1', KEEP_MS)
  const consumer = await collect(worker.adapter)
  await publish(caller.adapter, messageOf('m1', { replyTo: mailbox.address }))
  await consumer.came(1)
  expect(await worker.adapter.reply(mailbox.address, [resultOf('m1')])).toEqual(['stored'])
  // Without its ack.
  hub.kill('SIGKILL')
  await Promise.all([worker.adapter.stop(), hub.exited])
  await statsUntil(caller.adapter, { ready: 0, active: 0 })
  await expect.poll(() => mailbox.got.length).toBe(1)
  const later = await collect(caller.adapter)
  // The one that stopped may have been the hub for a moment: until it has its successor nothing is sent.
  await expect.poll(() => caller.adapter.publish(QUEUE, [messageOf('m2')])).toEqual([{ status: 'stored' }])
  await later.came(1)
  expect(later.ids()).toEqual(['m2'])
})

test('what is in mailboxes counts as stored, until their time is over', async () => {
  const { adapter } = await start({ maxBytes: 1024 * 1024 })
  const body = new Uint8Array(1024 * 1024)
  const mailbox = await read(adapter, 'big', 1_000)
  expect(await adapter.reply(mailbox.address, [resultOf('big', { body })])).toEqual(['stored'])
  expect(await adapter.publish(QUEUE, [messageOf('m1')])).toMatchObject([{ status: 'refused' }])
  await expect
    .poll(async () => (await adapter.publish(QUEUE, [messageOf('m1')]))[0]?.status, { timeout: 10_000 })
    .toBe('stored')
  expect((await read(adapter, 'big')).isFound).toBe(false)
})

test('a replay that its hub does not survive neither loses nor doubles a dead letter', async () => {
  const COUNT = 3_000
  const hub = await startHub()
  const one = await start()
  const ids = Array.from({ length: COUNT }, (_, index) => `m${index}`)
  const why = { code: 'CRASHED', reason: 'no', attempts: 1 }
  await Promise.all(ids.map((id) => one.adapter.park(QUEUE, ofKey(id, 'a'), why)))
  expect(await one.adapter.stats(QUEUE)).toMatchObject({ ready: 0, dead: COUNT })
  const up = one.next('up')
  const replay = one.adapter
    .deadLetters(QUEUE)
    .replay({})
    .catch(() => 0)
  hub.kill('SIGKILL')
  await Promise.all([replay, hub.exited, up])
  const { ready, dead } = await one.adapter.stats(QUEUE)
  expect(ready + dead).toBe(COUNT)
  expect(await one.adapter.deadLetters(QUEUE).replay({})).toBe(dead)
  expect(await one.adapter.stats(QUEUE)).toMatchObject({ ready: COUNT, dead: 0 })
  const consumer = await collect(one.adapter, 10)
  await consumer.came(1)
  expect(consumer.all[0]?.message.headers).toEqual({ [HEADER.key]: 'a', [HEADER.replay]: '1' })
})
