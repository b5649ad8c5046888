import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { allOf } from '../../support/eventually.ts'
import { areReady, collectDeliveries, expectIds, idsOf, isEmpty, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam settlement')
export const settlement = cases

const queue = queueRef()
const WHY = { code: 'HANDLER_FAILED', reason: 'it broke', attempts: 2 }

claim('an acked message is gone for good', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  await publishAll(one, queue, [requestOf()])
  ;(await (await collectDeliveries(one, queue)).at(0)).ack()
  await isEmpty(one, queue)
  await one.stop()
  const last = requestOf()
  const got = await collectDeliveries(other, queue)
  await publishAll(other, queue, [last])
  await got.came(1)
  expect(got.ids).toEqual([last.id])
})

claim('a retry stores a copy with the new headers at the end of the queue, as a first delivery', async (t) => {
  const adapter = await t.adapter()
  const messages = [requestOf({ headers: { 'x-a': '1' } }), requestOf()]
  await publishAll(adapter, queue, messages)
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  const first = await got.at(0)
  await first.retry({ delayMs: 0, headers: { 'rt-attempt': '2', 'rt-ran': '1' } })
  const second = await got.at(1)
  // Where a queue lies in parts the copy may come before the other one.
  const isBehind = second.message.id !== first.message.id
  if (isBehind) second.ack()
  const again = isBehind ? await got.at(2) : second
  if (!t.capabilities.isPartitioned) expect(got.ids).toEqual([...idsOf(messages), messages[0]?.id])
  expect(again.message.id).toBe(first.message.id)
  expect(again.redelivered).toBe(false)
  const published = messages.find(({ id }) => id === first.message.id)
  expect({ ...again.message.headers }).toEqual({ ...published?.headers, 'rt-attempt': '2', 'rt-ran': '1' })
  expect([...again.message.body]).toEqual([...(published?.body ?? [])])
  expect(again.message.type).toBe(published?.type)
  again.ack()
  if (!isBehind) (await got.at(2)).ack()
  await isEmpty(adapter, queue)
})

claim('a retry may be retried: the headers of each replace those of the one before', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, [requestOf()])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  for (let attempt = 2; attempt <= 6; attempt++)
    await (await got.at(attempt - 2)).retry({ delayMs: 0, headers: { 'rt-attempt': String(attempt) } })
  expect((await got.at(5)).message.headers['rt-attempt']).toBe('6')
})

claim('a dead letter leaves the queue and is kept with its reason', async (t) => {
  const adapter = await t.adapter()
  const message = requestOf({ body: Uint8Array.of(1, 2, 3), headers: { 'x-a': 'ä' } })
  await publishAll(adapter, queue, [message])
  await (await (await collectDeliveries(adapter, queue)).at(0)).deadLetter(WHY)
  await isEmpty(adapter, queue)
  const letters = await allOf(adapter.deadLetters(queue).list())
  expect(letters).toHaveLength(1)
  expect(letters[0]).toMatchObject(WHY)
  expect(letters[0]?.message.id).toBe(message.id)
  expect({ ...letters[0]?.message.headers }).toEqual(message.headers)
  expect([...(letters[0]?.message.body ?? [])]).toEqual([1, 2, 3])
  expect(Math.abs((letters[0]?.at ?? 0) - Date.now())).toBeLessThan(60_000)
})

claim('a released message comes back at the head, and another consumer may have it', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const messages = [requestOf(), requestOf(), requestOf()]
  await publishAll(one, queue, messages)
  const first = await collectDeliveries(one, queue, { prefetch: 1 })
  const delivery = await first.at(0)
  await first.subscription.stop()
  delivery.release()
  await areReady(other, queue, 3)
  const got = await collectDeliveries(other, queue)
  await got.came(3)
  expectIds(t.capabilities, got.ids, idsOf(messages))
  const again = got.deliveries.find(({ message }) => message.id === delivery.message.id)
  expect(again?.redelivered).toBe(true)
})

claim('several that are released in any order come back in theirs', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const messages = Array.from({ length: 6 }, () => requestOf())
  await publishAll(one, queue, messages)
  const first = await collectDeliveries(one, queue, { prefetch: 4 })
  await first.came(4)
  await first.subscription.stop()
  for (const delivery of [...first.deliveries].toReversed()) delivery.release()
  await areReady(other, queue, 6)
  const got = await collectDeliveries(other, queue)
  await got.came(6)
  expectIds(t.capabilities, got.ids, idsOf(messages))
})

claim('only the first settlement counts, whatever comes second', async (t) => {
  const adapter = await t.adapter()
  const messages = Array.from({ length: 4 }, () => requestOf())
  await publishAll(adapter, queue, messages)
  const got = await collectDeliveries(adapter, queue, { prefetch: 4 })
  const [acked, retried, buried, last] = await got.came(4)
  acked?.ack()
  acked?.ack()
  acked?.release()
  await acked?.retry({ delayMs: 0, headers: {} })
  await acked?.deadLetter(WHY)
  await retried?.retry({ delayMs: 0, headers: {} })
  retried?.ack()
  await retried?.retry({ delayMs: 0, headers: {} })
  await buried?.deadLetter(WHY)
  buried?.release()
  buried?.ack()
  const again = await got.at(4)
  expect(again.message.id).toBe(retried?.message.id)
  again.ack()
  last?.ack()
  await isEmpty(adapter, queue)
  expect(got.deliveries).toHaveLength(5)
  expect((await adapter.stats(queue)).dead).toBe(1)
})

claim('settling what is lost does nothing and never rejects', async (t) => {
  const [ending, other] = [await t.adapter(), await t.adapter()]
  const messages = Array.from({ length: 4 }, () => requestOf())
  await publishAll(ending, queue, messages)
  const [a, b, c, d] = await (await collectDeliveries(ending, queue)).came(4)
  await ending.stop()
  a?.ack()
  await b?.retry({ delayMs: 0, headers: {} })
  await c?.deadLetter(WHY)
  d?.release()
  await areReady(other, queue, 4)
  const got = await collectDeliveries(other, queue)
  await got.came(4)
  expectIds(t.capabilities, got.ids, idsOf(messages))
  expect((await other.stats(queue)).dead).toBe(0)
})

claim('a consumer that settles after a pause and after its end still settles', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, [requestOf(), requestOf()])
  const got = await collectDeliveries(adapter, queue)
  const [first, second] = await got.came(2)
  await got.subscription.pause()
  first?.ack()
  await got.subscription.stop()
  await second?.retry({ delayMs: 0, headers: { 'rt-attempt': '2' } })
  const rest = await collectDeliveries(adapter, queue)
  expect((await rest.at(0)).message.id).toBe(second?.message.id)
})
