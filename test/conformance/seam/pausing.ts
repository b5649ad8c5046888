import { expect } from 'vitest'
import { eventuallyPasses } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { collectDeliveries, expectStats, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam pausing')
export const pausing = cases

const queue = queueRef()

claim('a paused queue takes messages and hands none out, whoever consumes and whenever', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  await one.declare(queue)
  const before = await collectDeliveries(one, queue, { prefetch: 5 })
  await publishAll(one, queue, [requestOf()])
  await before.came(1)
  await other.setPaused(queue, true)
  await publishAll(one, queue, [requestOf(), requestOf()])
  const after = await collectDeliveries(other, queue, { prefetch: 5 })
  before.deliveries[0]?.release()
  await eventuallyPasses(async () => expectStats(await one.stats(queue), { ready: 3, active: 0, isPaused: true }))
  expect([before.deliveries.length, after.deliveries.length]).toEqual([1, 0])
  expect(await after.subscription.isStarved()).toBe(false)
  await one.setPaused(queue, false)
  await eventuallyPasses(() => expect(before.deliveries.length + after.deliveries.length).toBe(4))
  expectStats(await one.stats(queue), { ready: 0, active: 3, isPaused: false })
})

claim('what runs while it is paused is settled as ever', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await publishAll(adapter, queue, [requestOf(), requestOf(), requestOf()])
  await got.came(3)
  await adapter.setPaused(queue, true)
  await adapter.setPaused(queue, true)
  const [toAck, toRetry, toBury] = got.deliveries
  toAck?.ack()
  await toRetry?.retry({ delayMs: 0, headers: {} })
  await toBury?.deadLetter({ code: 'HANDLER_FAILED', reason: 'no', attempts: 1 })
  await eventuallyPasses(async () => expectStats(await adapter.stats(queue), { ready: 1, active: 0, dead: 1 }))
  // A dead letter that is replayed waits with the others.
  expect(await adapter.deadLetters(queue).replay({})).toBe(1)
  expectStats(await adapter.stats(queue), { ready: 2, active: 0, dead: 0 })
  await adapter.setPaused(queue, false)
  await got.came(5)
})

claim('another queue of the same broker goes on', async (t) => {
  const adapter = await t.adapter()
  const other = queueRef({ service: 'other' })
  await Promise.all([adapter.declare(queue), adapter.declare(other)])
  await adapter.setPaused(queue, true)
  const got = await collectDeliveries(adapter, other, { prefetch: 5 })
  await publishAll(adapter, other, [requestOf()])
  await got.came(1)
})
