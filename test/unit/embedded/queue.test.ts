import { rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BrokerAdapter, Delivery } from '../../../broker-adapters/adapter.ts'
import type { EmbeddedOptions } from '../../../broker-adapters/embedded/index.ts'
import { messageOf, openEmbedded, QUEUE, resultOf } from '../../support/embedded-adapter.ts'
import { openRaw, readInbox } from '../../support/embedded-raw.ts'
import { FLOW, OP } from '../../../broker-adapters/embedded/wire.ts'
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
  // The hub's owner first, which is the harder order.
  for (const adapter of open.splice(0)) await adapter.stop()
  rmSync(root, { recursive: true, force: true })
})

async function start(more: Partial<EmbeddedOptions> = {}): Promise<BrokerAdapter> {
  const opened = openEmbedded({ dir, ...more })
  open.push(opened.adapter)
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened.adapter
}
async function publish(adapter: BrokerAdapter, ...ids: string[]): Promise<string[]> {
  const outcomes = await adapter.publish(
    QUEUE,
    ids.map((id) => messageOf(id)),
  )
  return outcomes.map(({ status }) => status)
}
/** A consumer whose deliveries are awaited one by one. */
async function collect(adapter: BrokerAdapter, prefetch: number) {
  const arrived: Delivery[] = []
  const waiting: ((delivery: Delivery) => void)[] = []
  const subscription = await adapter.consume(QUEUE, { prefetch }, (delivery) => {
    const next = waiting.shift()
    if (next === undefined) arrived.push(delivery)
    else next(delivery)
  })
  const next = (): Promise<Delivery> => {
    const first = arrived.shift()
    return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first)
  }
  const take = async (count: number): Promise<Delivery[]> => {
    const taken: Delivery[] = []
    while (taken.length < count) taken.push(await next())
    return taken
  }
  return { subscription, arrived, next, take }
}
async function statsUntil(adapter: BrokerAdapter, wanted: Record<string, number>): Promise<void> {
  await expect.poll(async () => adapter.stats(QUEUE), { timeout: 5_000 }).toMatchObject(wanted)
}
async function readAll<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}
function idsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ message }) => message.id)
}

test('what is published is handed out whole and in order, at most prefetch at a time', async () => {
  const adapter = await start()
  expect(await publish(adapter, 'm1', 'm2', 'm3', 'm4', 'm5')).toEqual(Array(5).fill('stored'))
  const consumer = await collect(adapter, 2)
  const [first, second] = await consumer.take(2)
  expect(first?.message).toEqual(messageOf('m1'))
  expect(await adapter.stats(QUEUE)).toEqual({
    ready: 3,
    dead: 0,
    consumers: 1,
    delayed: 0,
    active: 2,
    isPaused: false,
  })
  expect(consumer.arrived).toEqual([])
  first?.ack()
  second?.ack()
  expect(idsOf(await consumer.take(2))).toEqual(['m3', 'm4'])
})

test('consumers share a batch', async () => {
  const a = await start()
  const b = await start()
  const first = await collect(a, 5)
  const second = await collect(b, 5)
  await publish(a, ...Array.from({ length: 10 }, (_, index) => `m${index}`))
  expect(
    idsOf(await first.take(5))
      .concat(idsOf(await second.take(5)))
      .toSorted(),
  ).toHaveLength(10)
})

test('what is released, or held by who goes, is handed out again at the head and says so', async () => {
  const a = await start()
  const b = await start()
  await publish(a, 'm1', 'm2', 'm3', 'm4')
  const first = await collect(b, 3)
  const held = await first.take(3)
  expect(held.map(({ redelivered, handBacks }) => [redelivered, handBacks])).toEqual([
    [false, 0],
    [false, 0],
    [false, 0],
  ])
  await first.subscription.stop()
  held[1]?.release()
  await statsUntil(a, { ready: 2, active: 2 })
  await b.stop()
  await statsUntil(a, { ready: 4, active: 0 })
  const second = await collect(a, 10)
  const again = await second.take(4)
  expect(idsOf(again)).toEqual(['m1', 'm2', 'm3', 'm4'])
  expect(again.map(({ handBacks }) => handBacks)).toEqual([1, 1, 1, 0])
  expect(held[0]?.isLost).toBe(true)
})

test('a delayed message waits; a retry is a first delivery with its headers merged', async () => {
  const adapter = await start()
  const consumer = await collect(adapter, 5)
  const begun = Date.now()
  await adapter.publish(QUEUE, [messageOf('late', { delayMs: 150 })])
  expect(await adapter.stats(QUEUE)).toMatchObject({ delayed: 1, ready: 0 })
  const late = await consumer.next()
  expect(Date.now() - begun).toBeGreaterThanOrEqual(145)
  await late.retry({ delayMs: 0, headers: { 'rt-attempt': '2' } })
  const again = await consumer.next()
  expect(again.message.headers).toEqual({ 'rt-method': 'work', 'rt-attempt': '2' })
  expect([again.redelivered, again.handBacks]).toEqual([false, 0])
  again.ack()
  await statsUntil(adapter, { ready: 0, active: 0, delayed: 0 })
})

test('what is due for hand-out after its expiry is dropped', async () => {
  const adapter = await start()
  await adapter.publish(QUEUE, [messageOf('old', { expiresInMs: 30 }), messageOf('new')])
  await new Promise((resolve) => setTimeout(resolve, 50))
  const consumer = await collect(adapter, 5)
  expect((await consumer.next()).message.id).toBe('new')
  expect(consumer.arrived).toEqual([])
})

test('what has expired goes although nobody consumes', async () => {
  const adapter = await start()
  await adapter.publish(QUEUE, [messageOf('old', { expiresInMs: 30 }), messageOf('new')])
  await expect.poll(() => adapter.stats(QUEUE), { timeout: 5_000 }).toMatchObject({ ready: 1 })
})

test('an id is stored once: while it waits, while it is held, after it is finished, over a restart', async () => {
  const adapter = await start()
  expect(await publish(adapter, 'm1', 'm1')).toEqual(['stored', 'stored'])
  expect(await publish(adapter, 'm1')).toEqual(['stored'])
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 1 })
  const consumer = await collect(adapter, 5)
  const delivery = await consumer.next()
  expect(await publish(adapter, 'm1')).toEqual(['stored'])
  delivery.ack()
  await statsUntil(adapter, { active: 0 })
  expect(await publish(adapter, 'm1')).toEqual(['stored'])
  await adapter.stop()
  const next = await start()
  expect(await publish(next, 'm1')).toEqual(['stored'])
  expect(await next.stats(QUEUE)).toMatchObject({ ready: 0, active: 0 })
  // A replay of a dead letter is not a duplicate of what it replays.
  await next.publish(QUEUE, [messageOf('m1', { headers: { 'rt-replay': '1' } })])
  expect(await next.stats(QUEUE)).toMatchObject({ ready: 1 })
})

test('what is not declared is unroutable, what is too large is not sent, what is over maxBytes is refused', async () => {
  const adapter = await start({ maxBytes: 1024 * 1024 })
  expect(await adapter.publish({ ...QUEUE, service: 'nobody' }, [messageOf('m')])).toEqual([{ status: 'unroutable' }])
  const tooLarge = messageOf('large', { body: new Uint8Array(17 * 1024 * 1024) })
  const outcomes = await adapter.publish(QUEUE, [messageOf('m1'), tooLarge, messageOf('m2')])
  expect(outcomes.map(({ status }) => status)).toEqual(['stored', 'tooLarge', 'stored'])
  const [full] = await adapter.publish(QUEUE, [messageOf('full', { body: new Uint8Array(1024 * 1024) })])
  expect(full).toMatchObject({ status: 'refused', reason: expect.stringContaining('maxBytes') as string })
})

test('a waiting message can be removed, a held one cannot', async () => {
  const adapter = await start()
  await adapter.publish(QUEUE, [messageOf('m1'), messageOf('m2'), messageOf('m3', { delayMs: 60_000 })])
  const consumer = await collect(adapter, 1)
  expect((await consumer.next()).message.id).toBe('m1')
  const removed: (boolean | undefined)[] = []
  for (const id of ['m1', 'm2', 'm3', 'm4']) removed.push(await adapter.remove?.(QUEUE, id))
  expect(removed).toEqual([false, true, true, false])
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 0, delayed: 0, active: 1 })
})

test('dead letters are kept by id, listed and purged by filter, over a restart', async () => {
  const adapter = await start()
  const consumer = await collect(adapter, 5)
  await publish(adapter, 'm1')
  await (await consumer.next()).deadLetter({ code: 'HANDLER_FAILED', reason: 'it threw', attempts: 5 })
  const other = messageOf('m2', { headers: { 'rt-method': 'other' } })
  await adapter.park(QUEUE, other, { code: 'CRASHED', reason: 'first', attempts: 1 })
  await adapter.park(QUEUE, other, { code: 'CRASHED', reason: 'second', attempts: 2 })
  expect(await adapter.stats(QUEUE)).toMatchObject({ dead: 2, active: 0 })
  await adapter.stop()
  const next = await start()
  const letters = next.deadLetters(QUEUE)
  const all = await readAll(letters.list())
  expect(all.map(({ code, reason, attempts, message }) => [code, reason, attempts, message])).toEqual([
    ['HANDLER_FAILED', 'it threw', 5, messageOf('m1')],
    ['CRASHED', 'second', 2, other],
  ])
  const idsBy = async (filter: Parameters<typeof letters.list>[0]): Promise<string[]> =>
    (await readAll(letters.list(filter))).map(({ message }) => message.id)
  expect(await idsBy({ method: 'other' })).toEqual(['m2'])
  expect(await idsBy({ code: 'HANDLER_FAILED' })).toEqual(['m1'])
  expect(await idsBy({ olderThanMs: 60_000 })).toEqual([])
  expect(await letters.purge({ id: 'm1' })).toBe(1)
  expect(await next.purge(QUEUE, 'dead')).toBe(1)
  expect(await idsBy({})).toEqual([])
})

test('many dead letters come in pages', async () => {
  const adapter = await start()
  const why = { code: 'CRASHED', reason: '', attempts: 1 }
  await Promise.all(Array.from({ length: 250 }, (_, index) => adapter.park(QUEUE, messageOf(`m${index}`), why)))
  expect(await readAll(adapter.deadLetters(QUEUE).list())).toHaveLength(250)
})

test('purge takes what waits and leaves what is held', async () => {
  const adapter = await start()
  await adapter.publish(QUEUE, [messageOf('m1'), messageOf('m2'), messageOf('m3', { delayMs: 60_000 })])
  const consumer = await collect(adapter, 1)
  const held = await consumer.next()
  expect(await adapter.purge(QUEUE, 'ready')).toBe(1)
  expect(await adapter.purge(QUEUE, 'delayed')).toBe(1)
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 0, delayed: 0, active: 1 })
  held.ack()
})

test('a final reply settles its request, and the ack after it changes nothing', async () => {
  const caller = await start()
  const worker = await start()
  const replies: string[] = []
  const inbox = await caller.openInbox({ leaseMs: 60_000, onRecreated: () => undefined }, (reply, done) => {
    replies.push(`${reply.correlationId} ${new TextDecoder().decode(reply.body)}`)
    done()
  })
  expect(inbox.address.startsWith('replyto.')).toBe(true)
  const consumer = await collect(worker, 5)
  await caller.publish(QUEUE, [messageOf('m1', { replyTo: inbox.address })])
  const delivery = await consumer.next()
  const progress = resultOf('m1', { type: 'progress' })
  expect(await worker.reply(inbox.address, [progress, resultOf('m1')])).toEqual(['stored', 'stored'])
  delivery.ack()
  expect(replies).toEqual(['m1 result of m1', 'm1 result of m1'])
  await statsUntil(caller, { ready: 0, active: 0 })
  expect(await worker.reply('replyto.i.nobody', [resultOf('m1')])).toEqual(['gone'])
  await inbox.close()
  expect(await worker.reply(inbox.address, [resultOf('m1')])).toEqual(['gone'])
})

test('what its reply has settled counts for the prefetch until it is acked, and can still become a dead letter', async () => {
  const adapter = await start()
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => undefined }, (_reply, done) => done())
  const consumer = await collect(adapter, 1)
  await adapter.publish(QUEUE, [messageOf('m1', { replyTo: inbox.address }), messageOf('m2')])
  const first = await consumer.next()
  expect(await adapter.reply(inbox.address, [resultOf('m1', { type: 'error' })])).toEqual(['stored'])
  await statsUntil(adapter, { ready: 1, active: 0 })
  expect(consumer.arrived).toEqual([])
  await first.deadLetter({ code: 'HANDLER_FAILED', reason: 'again and again', attempts: 3 })
  expect((await consumer.next()).message.id).toBe('m2')
  expect(await readAll(adapter.deadLetters(QUEUE).list())).toMatchObject([
    { reason: 'again and again', message: { id: 'm1' } },
  ])
})

test('replies wait in the inbox of a caller that is away, over a restart, until its lease ends', async () => {
  const worker = await start()
  const caller = await start()
  const inbox = await caller.openInbox({ leaseMs: 60_000, onRecreated: () => undefined }, () => undefined)
  expect(await worker.reply(inbox.address, [resultOf('untaken')])).toEqual(['stored'])
  await caller.stop()
  expect(await worker.reply(inbox.address, [resultOf('away')])).toEqual(['stored'])
  await worker.stop()
  const next = await start()
  expect(await next.reply(inbox.address, [resultOf('later')])).toEqual(['stored'])
  expect(await readInbox(dir, inbox.address, 60_000)).toEqual({ wasNew: false, replies: ['untaken', 'away', 'later'] })
  expect(await readInbox(dir, inbox.address, 1)).toEqual({ wasNew: false, replies: [] })
  await expect.poll(async () => next.reply(inbox.address, [resultOf('late')])).toEqual(['gone'])
})

test('broadcasts reach all who listen, the sender too, and nobody else', async () => {
  const a = await start()
  const b = await start()
  const heard: string[] = []
  const arrived = (name: string): Promise<void> =>
    new Promise((resolve) => {
      const adapter = name === 'a' ? a : b
      void adapter.onBroadcast('news', (body) => {
        heard.push(name + new TextDecoder().decode(body))
        resolve()
      })
    })
  const both = [arrived('a'), arrived('b')]
  const stop = await a.onBroadcast('other', () => heard.push('other'))
  await a.stats(QUEUE)
  await b.stats(QUEUE)
  stop()
  a.broadcast('news', new TextEncoder().encode('!'))
  a.broadcast('other', new Uint8Array(0))
  await Promise.all(both)
  expect(heard.toSorted()).toEqual(['a!', 'b!'])
})

test('paused, a subscription gets nothing; stopped, what is on its way goes back', async () => {
  const adapter = await start()
  const consumer = await collect(adapter, 1)
  await consumer.subscription.pause()
  await publish(adapter, 'm1', 'm2')
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 2, active: 0 })
  consumer.subscription.resume()
  const held = await consumer.next()
  await consumer.subscription.stop()
  held.ack()
  await statsUntil(adapter, { ready: 1, active: 0, consumers: 0 })
})

test('what a process gave back is waiting at the next hub, although that process lives', async () => {
  const first = await start()
  await publish(first, 'released', 'held')
  const { take } = await collect(first, 2)
  const [released] = await take(2)
  released?.release()
  await first.stop()
  const second = await start()
  expect(await second.stats(QUEUE)).toMatchObject({ ready: 2, active: 0 })
  const again = await (await collect(second, 2)).take(2)
  expect(again.map((delivery) => [delivery.message.id, delivery.redelivered])).toEqual([
    ['released', true],
    ['held', true],
  ])
})

test('a consumer that the hub does not know, or that has free credit, is starved by what waits', async () => {
  const adapter = await start()
  await publish(adapter, 'm1', 'm2')
  const answers: number[] = []
  const raw = openRaw(dir, (op, fields) => {
    if (op === OP.ANSWER && fields.u32() === 1) answers.push(fields.u32())
  })
  const queue = 'replyto.q.default.test.v1'
  const ask = (): void => raw.send((frame) => frame.begin(OP.STARVED).u32(1).u32(7).str(queue).end())
  ask()
  raw.send((frame) => frame.begin(OP.CONSUME).u32(2).u32(7).str(queue).u32(1).u8(FLOW.resume).u32(0).end())
  await expect.poll(() => answers).toEqual([1])
  ask()
  await statsUntil(adapter, { active: 1, ready: 1 })
  ask() // its credit is used up
  await expect.poll(() => answers).toEqual([1, 0, 0])
  raw.close()
})
