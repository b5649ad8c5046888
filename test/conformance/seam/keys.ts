import { expect } from 'vitest'
import type { Delivery } from '../../../broker-adapters/adapter.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Message } from '../../../protocol/message.ts'
import { eventuallyPasses } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf, type CaseContext } from '../case-context.ts'
import { collectDeliveries, expectIds, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam keys')
export const keys = cases

const queue = queueRef({ features: { keyed: true, priority: false, frames: false } })
const ofKey = (key: string, more: Partial<Message> = {}): Message =>
  requestOf({ ...more, headers: { [HEADER.key]: key } })

claim('one message of a key is out at a time, in the order of publishing; other keys go past', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const [a1, a2, a3, b1, none] = [ofKey('a'), ofKey('a'), ofKey('a'), ofKey('b'), requestOf()]
  await publishAll(adapter, queue, [a1, a2, a3, b1, none])
  const got = await collectDeliveries(adapter, queue, { prefetch: 10 })
  await got.came(3)
  // Between keys, and beside what has none, there is no order.
  expect([...got.ids].toSorted()).toEqual([a1.id, b1.id, none.id].toSorted())
  const stats = await adapter.stats(queue)
  // A broker that cannot tell what is out counts only what it has not handed to anybody's adapter.
  if (stats.active === undefined) expect(stats.ready).toBeLessThanOrEqual(2)
  else expect(stats).toMatchObject({ ready: 2, active: 3 })
  const deliveryOf = (message: Message): Delivery | undefined =>
    got.deliveries.find((delivery) => delivery.message.id === message.id)
  deliveryOf(a1)?.ack()
  await got.came(4)
  deliveryOf(a2)?.ack()
  await got.came(5)
  expect(got.ids.slice(3)).toEqual([a2.id, a3.id])
})

claim('a key is one at a time among all consumers', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  await one.declare(queue)
  const consumers = [
    await collectDeliveries(one, queue, { prefetch: 5 }),
    await collectDeliveries(other, queue, { prefetch: 5 }),
  ]
  const messages = Array.from({ length: 6 }, () => ofKey('a'))
  await publishAll(one, queue, messages)
  const order: string[] = []
  for (let step = 0; step < messages.length; step++) {
    const news = (): Delivery[] =>
      consumers.flatMap(({ deliveries }) => deliveries).filter(({ message }) => !order.includes(message.id))
    await eventuallyPasses(() => expect(news()).not.toHaveLength(0))
    const [delivery, ...others] = news()
    expect(others).toEqual([])
    order.push(delivery?.message.id ?? '')
    delivery?.ack()
  }
  expect(order).toEqual(messages.map(({ id }) => id))
})

claim('what is given back, and what waits for its retry, is passed by nothing of its key', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const [first, second, other] = [ofKey('a'), ofKey('a'), ofKey('b')]
  await publishAll(adapter, queue, [first, second])
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await got.came(1)
  got.deliveries[0]?.release()
  await got.came(2)
  await got.deliveries[1]?.retry({ delayMs: 1_000, headers: { [HEADER.attempt]: '2' } })
  await publishAll(adapter, queue, [other])
  await got.came(3)
  got.deliveries[2]?.ack()
  await got.came(4)
  expect(got.ids).toEqual([first.id, first.id, other.id, first.id])
  expect(got.deliveries[3]?.message.headers[HEADER.attempt]).toBe('2')
  await got.deliveries[3]?.deadLetter({ code: 'HANDLER_FAILED', reason: 'no', attempts: 2 })
  await got.came(5)
  expect(got.ids.at(-1)).toBe(second.id)
})

claim(
  'the fence of a key grows at each hand-over, also to another consumer; without a key there is none',
  async (t) => {
    const [one, other] = [await t.adapter(), await t.adapter()]
    await one.declare(queue)
    await publishAll(one, queue, [ofKey('a'), requestOf()])
    const mine = await collectDeliveries(one, queue, { prefetch: 5 })
    await mine.came(2)
    const keyed = mine.deliveries.find(({ message }) => message.headers[HEADER.key] !== undefined)
    const plain = mine.deliveries.find((delivery) => delivery !== keyed)
    expect(plain?.fence).toBeUndefined()
    expect(keyed?.fence).toEqual(expect.any(Number))
    const theirs = await collectDeliveries(other, queue, { prefetch: 5 })
    plain?.ack()
    await one.stop()
    await theirs.came(1)
    expect(theirs.deliveries[0]?.fence ?? 0).toBeGreaterThan(keyed?.fence ?? Infinity)
  },
)

claim('removing or purging what waits for a retry frees its key, where the broker can find it', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const { delayed } = await adapter.stats(queue)
  if (adapter.remove === undefined && delayed === undefined) return purgesNothingHeld(t)
  const [first, second, third, fourth] = [ofKey('a'), ofKey('a'), ofKey('a'), ofKey('a')]
  await publishAll(adapter, queue, [first, second, third, fourth])
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await got.came(1)
  await got.deliveries[0]?.retry({ delayMs: 600_000, headers: {} })
  if (adapter.remove === undefined) await adapter.purge(queue, 'delayed')
  else await adapter.remove(queue, first.id)
  await got.came(2)
  await got.deliveries[1]?.retry({ delayMs: 600_000, headers: {} })
  expect(await adapter.purge(queue, 'delayed')).toBe(1)
  await got.came(3)
  if (adapter.remove !== undefined) {
    await adapter.remove(queue, fourth.id)
    got.deliveries[2]?.ack()
    await eventuallyPasses(async () =>
      expect(await adapter.stats(queue)).toMatchObject({ ready: 0, active: 0, delayed: 0 }),
    )
  }
  expect(got.ids).toEqual([first.id, second.id, third.id])
})

/** What waits for its retry lies with its worker: purging must neither lose it nor let anything of its key pass. */
async function purgesNothingHeld(t: CaseContext): Promise<void> {
  const adapter = await t.adapter()
  const [first, second] = [ofKey('a'), ofKey('a')]
  await publishAll(adapter, queue, [first, second])
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await got.came(1)
  await got.deliveries[0]?.retry({ delayMs: 300, headers: {} })
  expect(await adapter.purge(queue, 'delayed')).toBe(0)
  await got.came(2)
  got.deliveries[1]?.ack()
  await got.came(3)
  expect(got.ids).toEqual([first.id, first.id, second.id])
}

claim('where the queue is not keyed, a key means nothing', async (t) => {
  const adapter = await t.adapter()
  const plain = queueRef()
  await adapter.declare(plain)
  const messages = [ofKey('a'), ofKey('a')]
  await publishAll(adapter, plain, messages)
  const got = await collectDeliveries(adapter, plain, { prefetch: 5 })
  await got.came(2)
  expectIds(
    t.capabilities,
    got.ids,
    messages.map(({ id }) => id),
  )
  expect(got.deliveries.map(({ fence }) => fence)).toEqual([undefined, undefined])
})

claim('the order of a key goes before priority', async (t) => {
  const adapter = await t.adapter()
  const both = queueRef({ features: { keyed: true, priority: true, frames: false } })
  await adapter.declare(both)
  const high = (more: Readonly<Record<string, string>> = {}): Message =>
    requestOf({ headers: { [HEADER.priority]: 'high', ...more } })
  // The contract lets a method have a key or a priority; a stranger's message may have both.
  const [a1, a2, b1, b2] = [ofKey('a'), high({ [HEADER.key]: 'a' }), ofKey('b'), high()]
  await publishAll(adapter, both, [a1, a2, b1, b2])
  const got = await collectDeliveries(adapter, both, { prefetch: 1 })
  for (let count = 1; count <= 4; count++) {
    await got.came(count)
    got.deliveries[count - 1]?.ack()
  }
  expect(got.ids[0]).toBe(b2.id)
  expect(got.ids.indexOf(a1.id)).toBeLessThan(got.ids.indexOf(a2.id))
})

claim('a consumer is not starved by what waits for its key', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  await publishAll(adapter, queue, [ofKey('a'), ofKey('a')])
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await got.came(1)
  expect(await got.subscription.isStarved()).toBe(false)
})
