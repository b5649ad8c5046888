import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { eventually, eventuallyPasses } from '../../support/eventually.ts'
import {
  areReady,
  collectDeliveries,
  expectIds,
  expectStats,
  idsOf,
  isEmpty,
  publishAll,
} from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam consuming')
export const consuming = cases

const queue = queueRef()
const requests = (count: number) => Array.from({ length: count }, () => requestOf())

claim(
  'deliveries come in the order of publishing',
  async (t) => {
    const adapter = await t.adapter()
    const messages = requests(200)
    const got = await collectDeliveries(adapter, queue, { prefetch: 10, onDelivery: (delivery) => delivery.ack() })
    for (const message of messages) await publishAll(adapter, queue, [message])
    await got.came(200)
    expect(got.ids).toEqual(idsOf(messages))
  },
  { unless: 'isPartitioned' },
)

claim('a consumer holds at most its prefetch, and gets one for each that it settles', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, requests(10))
  const narrow = await collectDeliveries(adapter, queue, { prefetch: 3 })
  await narrow.came(3)
  await publishAll(adapter, queue, requests(2))
  expectStats(await adapter.stats(queue), { ready: 9, active: 3 })
  narrow.deliveries[0]?.ack()
  await narrow.came(4)
  expectStats(await adapter.stats(queue), { ready: 8, active: 3 })
  expect(narrow.deliveries).toHaveLength(4)
})

claim(
  'what one consumer cannot hold goes to another at once',
  async (t) => {
    const adapter = await t.adapter()
    await publishAll(adapter, queue, requests(10))
    const narrow = await collectDeliveries(adapter, queue, { prefetch: 3 })
    await narrow.came(3)
    const wide = await collectDeliveries(await t.adapter(), queue, { prefetch: 7 })
    await wide.came(7)
    expect([narrow.deliveries.length, wide.deliveries.length]).toEqual([3, 7])
    const more = requests(2)
    await publishAll(adapter, queue, more)
    narrow.deliveries[0]?.ack()
    await narrow.came(4)
    wide.deliveries[0]?.ack()
    await wide.came(8)
    expect([narrow.deliveries.length, wide.deliveries.length]).toEqual([4, 8])
  },
  { unless: 'isPartitioned' },
)

claim('every way to settle gives the credit back', async (t) => {
  const adapter = await t.adapter()
  const messages = requests(5)
  await publishAll(adapter, queue, messages)
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  ;(await got.at(0)).ack()
  void (await got.at(1)).retry({ delayMs: 0, headers: {} })
  void (await got.at(2)).deadLetter({ code: 'HANDLER_FAILED', reason: 'no', attempts: 1 })
  const released = await got.at(3)
  released.release()
  const next = (await got.at(4)).message.id
  if (t.capabilities.isPartitioned) expect(idsOf(messages)).toContain(next)
  else expect(next).toBe(released.message.id)
})

claim('consumers compete: each message goes to one of them', async (t) => {
  const adapters = [await t.adapter(), await t.adapter(), await t.adapter()]
  const seen: string[] = []
  const consumers = await Promise.all(
    adapters.map((adapter) =>
      collectDeliveries(adapter, queue, {
        prefetch: 2,
        onDelivery(delivery) {
          seen.push(delivery.message.id)
          setImmediate(() => delivery.ack())
        },
      }),
    ),
  )
  const messages = requests(90)
  await publishAll(adapters[0] ?? (await t.adapter()), queue, messages)
  await eventually(() => seen.length >= 90)
  await isEmpty(await t.adapter(), queue)
  expect(seen.toSorted()).toEqual(idsOf(messages).toSorted())
  for (const { deliveries } of consumers) expect(deliveries.length).toBeGreaterThan(0)
})

claim('a paused consumer gets nothing and keeps what it holds; resumed it goes on', async (t) => {
  const adapter = await t.adapter()
  const [first, second, third] = [requestOf(), requestOf(), requestOf()]
  const pausing = await collectDeliveries(adapter, queue, { prefetch: 10 })
  await publishAll(adapter, queue, [first])
  await pausing.came(1)
  await pausing.subscription.pause()
  await adapter.stats(queue)
  const other = await collectDeliveries(await t.adapter(), queue, { prefetch: 10 })
  await publishAll(adapter, queue, [second])
  await other.came(1)
  expect(pausing.ids).toEqual([first.id])
  expect(pausing.deliveries[0]?.isLost).toBe(false)
  await other.subscription.stop()
  pausing.subscription.resume()
  await publishAll(adapter, queue, [third])
  await pausing.came(2)
  expect(pausing.ids).toEqual([first.id, third.id])
})

claim('once a pause has resolved nothing comes any more, however much was on its way', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, requests(300))
  const consumer = await collectDeliveries(await t.adapter(), queue, {
    prefetch: 50,
    onDelivery: (delivery) => setImmediate(() => delivery.ack()),
  })
  await consumer.came(60)
  await consumer.subscription.pause()
  const came = consumer.deliveries.length
  await eventuallyPasses(async () => expect(await adapter.stats(queue)).toMatchObject({ active: 0, ready: 300 - came }))
  expect(consumer.deliveries).toHaveLength(came)
  consumer.subscription.resume()
  await isEmpty(adapter, queue)
  expect(consumer.deliveries).toHaveLength(300)
})

claim('a consumer is not starved that has what it may have, or wants nothing, or for whom nothing waits', async (t) => {
  const adapter = await t.adapter()
  const consumer = await collectDeliveries(adapter, queue, { prefetch: 2 })
  expect(await consumer.subscription.isStarved()).toBe(false)
  await publishAll(adapter, queue, requests(3))
  await consumer.came(2)
  expect(await consumer.subscription.isStarved()).toBe(false)
  await consumer.subscription.pause()
  for (const delivery of consumer.deliveries) delivery.ack()
  await areReady(adapter, queue, 1)
  expect(await consumer.subscription.isStarved()).toBe(false)
  await consumer.subscription.stop()
  expect(await consumer.subscription.isStarved()).toBe(false)
})

claim('a consumer that stops gets no more; what it holds can be settled, what was on its way goes back', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const messages = requests(4)
  await publishAll(one, queue, messages)
  const stopping = await collectDeliveries(one, queue, { prefetch: 2 })
  await stopping.came(2)
  await stopping.subscription.stop()
  const rest = await collectDeliveries(other, queue, { prefetch: 10 })
  await rest.came(2)
  const held = stopping.ids
  expectIds(
    t.capabilities,
    rest.ids,
    idsOf(messages).filter((id) => !held.includes(id)),
  )
  expect(rest.deliveries.map(({ redelivered }) => redelivered)).toEqual([false, false])
  for (const delivery of [...stopping.deliveries, ...rest.deliveries]) delivery.ack()
  await isEmpty(other, queue)
  expect(stopping.deliveries).toHaveLength(2)
  expect(rest.deliveries).toHaveLength(2)
})

claim('a consumer that stops in the moment of its first delivery leaves nothing behind', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const messages = requests(20)
  await publishAll(one, queue, messages)
  const stopping = await collectDeliveries(one, queue, { prefetch: 20 })
  await stopping.subscription.stop()
  const held = stopping.ids
  for (const delivery of stopping.deliveries) delivery.ack()
  const rest = await collectDeliveries(other, queue, { prefetch: 20, onDelivery: (delivery) => delivery.ack() })
  await eventually(() => held.length + rest.deliveries.length >= 20)
  expect([...held, ...rest.ids].toSorted()).toEqual(idsOf(messages).toSorted())
})

claim('what a listener throws reaches nobody: the next delivery comes', async (t) => {
  const adapter = await t.adapter()
  const messages = requests(3)
  const seen: string[] = []
  await adapter.consume(queue, { prefetch: 10 }, ({ message }) => {
    seen.push(message.id)
    throw new Error('a listener that throws')
  })
  await publishAll(adapter, queue, messages)
  await eventually(() => seen.length === 3)
  expectIds(t.capabilities, seen, idsOf(messages))
})

claim('a connection that ends gives its deliveries back, and others see that they were out', async (t) => {
  const [ending, other] = [await t.adapter(), await t.adapter()]
  const messages = requests(3)
  await publishAll(ending, queue, messages)
  const lost: string[] = []
  const held = await collectDeliveries(ending, queue, {
    prefetch: 2,
    onDelivery: (delivery) => delivery.onLost(() => lost.push(delivery.message.id)),
  })
  await held.came(2)
  await ending.stop()
  expect(lost.toSorted()).toEqual(held.ids.toSorted())
  if (!t.capabilities.isPartitioned) expect(held.ids).toEqual(idsOf(messages.slice(0, 2)))
  expect(held.deliveries.map(({ isLost }) => isLost)).toEqual([true, true])

  await areReady(other, queue, 3)
  const got = await collectDeliveries(other, queue)
  await got.came(3)
  expectIds(t.capabilities, got.ids, idsOf(messages))
  const wereOut = got.deliveries.filter(({ message }) => lost.includes(message.id))
  expect(wereOut.map(({ redelivered }) => redelivered)).toEqual([true, true])
  for (const { handBacks } of wereOut) expect(handBacks ?? 1).toBe(1)
})

claim(
  'only a message that was never handed out says that it was not',
  async (t) => {
    const [ending, other] = [await t.adapter(), await t.adapter()]
    const messages = requests(2)
    await publishAll(ending, queue, messages)
    const held = await collectDeliveries(ending, queue, { prefetch: 1 })
    expect((await held.at(0)).redelivered).toBe(false)
    await ending.stop()
    await areReady(other, queue, 2)
    const got = await collectDeliveries(other, queue)
    await got.came(2)
    expect(got.deliveries.map(({ redelivered }) => redelivered)).toEqual([true, false])
  },
  { needs: 'provesFirstDelivery' },
)

claim('onLost of a delivery that is lost already is called at once', async (t) => {
  const ending = await t.adapter()
  await publishAll(ending, queue, requests(1))
  const delivery = await (await collectDeliveries(ending, queue)).at(0)
  await ending.stop()
  let isTold = false
  delivery.onLost(() => (isTold = true))
  expect(isTold).toBe(true)
})
