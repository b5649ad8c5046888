import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { eventually } from '../../support/eventually.ts'
import { collectDeliveries, isEmpty, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam delay')
export const delay = cases

const queue = queueRef()
/** Clocks of two processes, and a timer's own rounding. */
const EARLY_MS = 20

claim('a delayed message comes after its delay, and lets others pass', async (t) => {
  const adapter = await t.adapter()
  const [delayed, quick] = [requestOf({ delayMs: 300 }), requestOf()]
  const got = await collectDeliveries(adapter, queue, { onDelivery: (delivery) => delivery.ack() })
  const sentAt = Date.now()
  await publishAll(adapter, queue, [delayed, quick])
  expect((await adapter.stats(queue)).delayed ?? 1).toBe(1)
  await got.came(2)
  expect(got.ids).toEqual([quick.id, delayed.id])
  expect(Date.now() - sentAt).toBeGreaterThanOrEqual(300 - EARLY_MS)
})

claim('delays end in their own order, not in that of publishing', async (t) => {
  const adapter = await t.adapter()
  const [late, early] = [requestOf({ delayMs: 400 }), requestOf({ delayMs: 100 })]
  const got = await collectDeliveries(adapter, queue)
  await publishAll(adapter, queue, [late, early])
  await got.came(2)
  expect(got.ids).toEqual([early.id, late.id])
})

claim('a retry with a delay comes after it', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, [requestOf()])
  const got = await collectDeliveries(adapter, queue)
  const first = await got.at(0)
  const retriedAt = Date.now()
  await first.retry({ delayMs: 250, headers: { 'rt-attempt': '2' } })
  const again = await got.at(1)
  expect(Date.now() - retriedAt).toBeGreaterThanOrEqual(250 - EARLY_MS)
  expect(again.message.headers['rt-attempt']).toBe('2')
})

claim('a delay goes on without the connection that asked for it', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const message = requestOf({ delayMs: 200 })
  await publishAll(one, queue, [message])
  await one.stop()
  expect((await (await collectDeliveries(other, queue)).at(0)).message.id).toBe(message.id)
})

claim('a very long delay waits and does not wrap around', async (t) => {
  const adapter = await t.adapter()
  const last = requestOf()
  await publishAll(adapter, queue, [requestOf({ delayMs: 3_000_000_000 }), last])
  const got = await collectDeliveries(adapter, queue)
  await got.came(1)
  expect(got.ids).toEqual([last.id])
  expect((await adapter.stats(queue)).delayed ?? 1).toBe(1)
})

claim('what is not consumed before it expires is not handed out', async (t) => {
  const adapter = await t.adapter()
  const [expiring, last] = [requestOf({ expiresInMs: 50 }), requestOf()]
  await publishAll(adapter, queue, [expiring])
  const publishedAt = Date.now()
  await eventually(() => Date.now() - publishedAt > 80)
  await publishAll(adapter, queue, [last])
  const got = await collectDeliveries(adapter, queue)
  await got.came(1)
  expect(got.ids).toEqual([last.id])
  got.deliveries[0]?.ack()
  await isEmpty(adapter, queue)
})

claim('what is consumed in time is handed out, and stays held beyond its expiry', async (t) => {
  const adapter = await t.adapter()
  const message = requestOf({ expiresInMs: 1_500 })
  const got = await collectDeliveries(adapter, queue)
  await publishAll(adapter, queue, [message])
  const publishedAt = Date.now()
  const delivery = await got.at(0)
  await eventually(() => Date.now() - publishedAt > 1_600)
  expect(delivery.isLost).toBe(false)
  delivery.ack()
  await isEmpty(adapter, queue)
})

claim('a retry takes the expiry away: the deadline is for the core to judge', async (t) => {
  const adapter = await t.adapter()
  const message = requestOf({ expiresInMs: 1_500 })
  const got = await collectDeliveries(adapter, queue)
  await publishAll(adapter, queue, [message])
  await (await got.at(0)).retry({ delayMs: 1_600, headers: { 'rt-attempt': '2' } })
  expect((await got.at(1)).message.id).toBe(message.id)
})
