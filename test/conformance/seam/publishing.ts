import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { eventually } from '../../support/eventually.ts'
import { collectDeliveries, expectIds, idsOf, isEmpty, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam publishing')
export const publishing = cases

const queue = queueRef()
const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte)

claim('a message arrives as it was sent: id, type, address, encoding, headers, body', async (t) => {
  const adapter = await t.adapter()
  const message = requestOf({
    type: 'call',
    replyTo: `${t.namespace}.in.somebody.1`,
    contentType: 'application/json',
    contentEncoding: 'gzip',
    headers: { 'x-user': 'ann', traceparent: '00-1' },
    body: EVERY_BYTE,
  })
  await publishAll(adapter, queue, [message])
  const { message: got } = await (await collectDeliveries(adapter, queue)).at(0)
  expect(got.id).toBe(message.id)
  expect(got.type).toBe('call')
  expect(got.replyTo).toBe(message.replyTo)
  expect(got.contentType).toBe('application/json')
  expect(got.contentEncoding).toBe('gzip')
  expect({ ...got.headers }).toEqual(message.headers)
  expect(Buffer.from(got.body).equals(EVERY_BYTE)).toBe(true)
})

claim('an empty body, and bytes that are a view into a larger buffer, arrive as they are', async (t) => {
  const adapter = await t.adapter()
  const view = new Uint8Array(EVERY_BYTE.buffer, 10, 5)
  await publishAll(adapter, queue, [requestOf({ body: new Uint8Array(0) }), requestOf({ body: view })])
  const got = await (await collectDeliveries(adapter, queue)).came(2)
  const bodies = got.map(({ message }) => [...message.body])
  if (!t.capabilities.isPartitioned) expect(bodies.map(({ length }) => length)).toEqual([0, 5])
  expect(bodies.toSorted((one, other) => one.length - other.length)).toEqual([[], [10, 11, 12, 13, 14]])
})

claim('headers may hold any text: unicode, nothing, line breaks, eight kilobytes', async (t) => {
  const adapter = await t.adapter()
  const headers = {
    'x-unicode': 'grüße 日本語 🎉 \u2028',
    'x-empty': '',
    'x-lines': 'a\r\nb\0c',
    'x-long': 'x'.repeat(7000),
    'X-Case': 'kept',
    '~!#$%&*': '"\\',
  }
  const message = requestOf({ headers })
  await publishAll(adapter, queue, [message])
  const delivery = await (await collectDeliveries(adapter, queue)).at(0)
  expect({ ...delivery.message.headers }).toEqual(message.headers)
})

claim('a body of the largest payload goes through, whole', async (t) => {
  const adapter = await t.adapter()
  const body = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 31) % 251)
  await publishAll(adapter, queue, [requestOf({ body })])
  const delivery = await (await collectDeliveries(adapter, queue)).at(0)
  expect(Buffer.from(delivery.message.body).equals(body)).toBe(true)
})

claim('what is too large for the broker is tooLarge, proved not stored, and the others are stored', async (t) => {
  const adapter = await t.adapter()
  const small = [requestOf(), requestOf()]
  const large = requestOf({ body: new Uint8Array(t.capabilities.maxMessageBytes + 1) })
  await adapter.declare(queue)
  const outcomes = await adapter.publish(queue, [...small.slice(0, 1), large, ...small.slice(1)])
  expect(outcomes.map(({ status }) => status)).toEqual(['stored', 'tooLarge', 'stored'])
  const got = await collectDeliveries(adapter, queue)
  await got.came(2)
  expectIds(t.capabilities, got.ids, idsOf(small))
})

claim('there is one outcome per message, in order; no message, no outcome', async (t) => {
  const adapter = await t.adapter()
  const messages = Array.from({ length: 300 }, () => requestOf())
  expect(await publishAll(adapter, queue, messages)).toHaveLength(300)
  expect(await adapter.publish(queue, [])).toEqual([])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1000 })
  await got.came(300)
  expectIds(t.capabilities, got.ids, idsOf(messages))
})

claim('a queue that nobody declared is unroutable, and stores nothing', async (t) => {
  const adapter = await t.adapter()
  const nowhere = queueRef({ service: 'nowhere' })
  const message = requestOf()
  expect((await adapter.publish(nowhere, [message]))[0]?.status).toBe('unroutable')
  const last = requestOf()
  await publishAll(adapter, nowhere, [last])
  expect((await (await collectDeliveries(adapter, nowhere)).at(0)).message.id).toBe(last.id)
})

claim('declaring a queue twice, from two connections, changes nothing', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const message = requestOf()
  await publishAll(one, queue, [message])
  await Promise.all([one.declare(queue), other.declare(queue)])
  expect((await other.stats(queue)).ready).toBe(1)
  expect((await (await collectDeliveries(other, queue)).at(0)).message.id).toBe(message.id)
})

claim(
  'a second publish of an id is stored, but not again',
  async (t) => {
    const [one, other] = [await t.adapter(), await t.adapter()]
    const message = requestOf()
    const last = requestOf()
    await publishAll(one, queue, [message, message])
    await publishAll(other, queue, [{ ...message, headers: { ...message.headers, 'rt-resent': '1' } }, last])
    const got = await collectDeliveries(one, queue)
    await got.came(2)
    expect(got.ids).toEqual([message.id, last.id])
  },
  { needs: 'dedupeMs' },
)

claim(
  'a publish of an id that runs, or that was acked, is not stored again either',
  async (t) => {
    const adapter = await t.adapter()
    const [acked, running, last] = [requestOf(), requestOf(), requestOf()]
    await publishAll(adapter, queue, [acked, running])
    const got = await collectDeliveries(adapter, queue)
    await got.came(2)
    got.deliveries[0]?.ack()
    await eventually(async () => ((await adapter.stats(queue)).active ?? 1) === 1)
    await publishAll(adapter, queue, [acked, running, last])
    await got.came(3)
    expect(got.ids).toEqual([acked.id, running.id, last.id])
    for (const delivery of got.deliveries) delivery.ack()
    await isEmpty(adapter, queue)
    expect(got.deliveries).toHaveLength(3)
  },
  { needs: 'dedupeMs' },
)

claim('the same id in another queue is another message', async (t) => {
  const adapter = await t.adapter()
  const other = queueRef({ group: 'other' })
  const message = requestOf()
  await publishAll(adapter, queue, [message])
  await publishAll(adapter, other, [message])
  expect((await adapter.stats(queue)).ready).toBe(1)
  expect((await adapter.stats(other)).ready).toBe(1)
})

claim('publishing after stop never rejects and stores nothing: notSent', async (t) => {
  const [stopped, other] = [await t.adapter(), await t.adapter()]
  await stopped.declare(queue)
  await stopped.stop()
  const outcomes = await stopped.publish(queue, [requestOf(), requestOf()])
  expect(outcomes.map(({ status }) => status)).toEqual(['notSent', 'notSent'])
  const last = requestOf()
  await publishAll(other, queue, [last])
  expect((await (await collectDeliveries(other, queue)).at(0)).message.id).toBe(last.id)
})

claim('what is stored outlives the connection that stored it', async (t) => {
  const first = await t.adapter()
  const messages = [requestOf(), requestOf()]
  await publishAll(first, queue, messages)
  await first.stop()
  const got = await collectDeliveries(await t.adapter(), queue)
  await got.came(2)
  expectIds(t.capabilities, got.ids, idsOf(messages))
})

claim('other namespaces do not see it', async (t) => {
  const adapter = await t.adapter()
  await publishAll(adapter, queue, [requestOf()])
  const foreign = await t.adapter({ namespace: `${t.namespace}x` })
  await foreign.declare(queue)
  expect((await foreign.stats(queue)).ready).toBe(0)
  expect((await adapter.stats(queue)).ready).toBe(1)
})
