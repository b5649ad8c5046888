import { expect } from 'vitest'
import type { LetterFilter } from '../../../broker-adapters/adapter.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf, type StartedAdapter } from '../case-context.ts'
import { allOf, eventuallyPasses } from '../../support/eventually.ts'
import { collectDeliveries, expectStats, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam dead letters')
export const deadLetters = cases

const queue = queueRef()
const letter = (code: string) => ({ code, reason: `because of ${code}`, attempts: 3 })

async function listIds(adapter: StartedAdapter, filter?: LetterFilter): Promise<string[]> {
  const letters = await allOf(adapter.deadLetters(queue).list(filter))
  return letters.map(({ message }) => message.id)
}

claim('a parked message is listed with everything it had', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const message = requestOf({
    type: 'call',
    replyTo: `${t.namespace}.in.x`,
    headers: { 'x-ä': 'grüße' },
    body: Uint8Array.from({ length: 256 }, (_, byte) => byte),
  })
  await one.declare(queue)
  await one.park(queue, message, letter('CRASHED'))
  const [got] = await allOf(other.deadLetters(queue).list())
  expect(got).toMatchObject(letter('CRASHED'))
  expect(got?.message).toMatchObject({ id: message.id, type: 'call', replyTo: message.replyTo })
  expect({ ...got?.message.headers }).toEqual(message.headers)
  expect([...(got?.message.body ?? [])]).toEqual([...message.body])
})

claim('the same id parked twice is one, the second', async (t) => {
  const adapter = await t.adapter()
  const message = requestOf()
  await adapter.declare(queue)
  await adapter.park(queue, message, letter('CRASHED'))
  await adapter.park(queue, message, letter('HANDLER_FAILED'))
  const letters = await allOf(adapter.deadLetters(queue).list())
  expect(letters.map(({ code }) => code)).toEqual(['HANDLER_FAILED'])
  expect(await adapter.deadLetters(queue).replay({ code: 'CRASHED' })).toBe(0)
  expect(await adapter.deadLetters(queue).replay({ id: message.id })).toBe(1)
  expect(await adapter.stats(queue)).toMatchObject({ ready: 1, dead: 0 })
  await adapter.park(queue, message, letter('CRASHED'))
  await adapter.park(queue, message, letter('HANDLER_FAILED'))
  expect(await adapter.deadLetters(queue).purge({ code: 'HANDLER_FAILED' })).toBe(1)
  expect((await adapter.stats(queue)).dead).toBe(0)
})

claim('a list and a purge are narrowed by id, method, code and age', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const work = requestOf()
  const other = requestOf({ headers: { 'rt-method': 'other' } })
  const crashed = requestOf()
  await adapter.park(queue, work, letter('HANDLER_FAILED'))
  await adapter.park(queue, other, letter('HANDLER_FAILED'))
  await adapter.park(queue, crashed, letter('CRASHED'))
  expect((await listIds(adapter)).toSorted()).toEqual([work.id, other.id, crashed.id].toSorted())
  expect(await listIds(adapter, { id: work.id })).toEqual([work.id])
  expect(await listIds(adapter, { method: 'other' })).toEqual([other.id])
  expect(await listIds(adapter, { code: 'CRASHED' })).toEqual([crashed.id])
  expect(await listIds(adapter, { code: 'CRASHED', method: 'other' })).toEqual([])
  expect(await listIds(adapter, { olderThanMs: 60_000 })).toEqual([])

  expect(await adapter.deadLetters(queue).purge({ olderThanMs: 60_000 })).toBe(0)
  expect(await adapter.deadLetters(queue).purge({ method: 'other' })).toBe(1)
  expect((await listIds(adapter)).toSorted()).toEqual([work.id, crashed.id].toSorted())
  expect(await adapter.deadLetters(queue).purge({})).toBe(2)
  expect(await listIds(adapter)).toEqual([])
})

claim('five hundred are listed, each once, while the reader takes its time', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const messages = Array.from({ length: 500 }, () => requestOf())
  await Promise.all(messages.map((message) => adapter.park(queue, message, letter('CRASHED'))))
  const seen: string[] = []
  for await (const { message } of adapter.deadLetters(queue).list()) {
    seen.push(message.id)
    if (seen.length === 10) await adapter.stats(queue)
  }
  expect(seen.toSorted()).toEqual(messages.map(({ id }) => id).toSorted())
})

claim('a reader may leave in the middle', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  for (let index = 0; index < 5; index++) await adapter.park(queue, requestOf(), letter('CRASHED'))
  for await (const { message } of adapter.deadLetters(queue).list()) {
    expect(message.id).not.toBe('')
    break
  }
  expect((await adapter.stats(queue)).dead).toBe(5)
})

claim('dead letters outlive the connection, and are handed to nobody', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const message = requestOf()
  await publishAll(one, queue, [message])
  await (await (await collectDeliveries(one, queue)).at(0)).deadLetter(letter('HANDLER_FAILED'))
  await one.stop()
  const got = await collectDeliveries(other, queue)
  const last = requestOf()
  await publishAll(other, queue, [last])
  await got.came(1)
  expect(got.ids).toEqual([last.id])
  expect(await listIds(other)).toEqual([message.id])
})

claim('parking rejects when it is not known to be stored', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  await adapter.stop()
  await expect(adapter.park(queue, requestOf(), letter('CRASHED'))).rejects.toThrow(/BROKER_UNAVAILABLE|CLOSED/)
})

claim('a replayed letter is a new generation of the same message, and no duplicate of it', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const headers = { 'x-tenant': 'a', 'rt-deadline': '1', 'rt-attempt': '3', 'rt-ran': '1', 'rt-history': 'bad' }
  const call = requestOf({ type: 'call', replyTo: `${t.namespace}.in.x`, headers, body: Uint8Array.of(7) })
  await publishAll(adapter, queue, [call])
  const got = await collectDeliveries(adapter, queue, { prefetch: 5 })
  await got.came(1)
  await got.deliveries[0]?.deadLetter(letter('HANDLER_FAILED'))
  expect(await adapter.deadLetters(queue).replay({ id: call.id })).toBe(1)
  await got.came(2)
  const again = got.deliveries[1]?.message
  expect(again).toMatchObject({ id: call.id, type: 'call', replyTo: call.replyTo })
  expect([...(again?.body ?? [])]).toEqual([7])
  expect({ ...again?.headers }).toEqual({
    'rt-v': '1',
    'rt-service': 'probe',
    'rt-method': 'work',
    'x-tenant': 'a',
    'rt-replay': '1',
  })
  expect([got.deliveries[1]?.redelivered, got.deliveries[1]?.handBacks]).toEqual([false, 0])
  await got.deliveries[1]?.deadLetter(letter('HANDLER_FAILED'))
  await adapter.deadLetters(queue).replay({})
  await got.came(3)
  expect(got.deliveries[2]?.message.headers['rt-replay']).toBe('2')
  got.deliveries[2]?.ack()
  await eventuallyPasses(async () => expectStats(await adapter.stats(queue), { ready: 0, active: 0, dead: 0 }))
})

claim('only what fits the filter is replayed; nothing fits: none', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const [work, other] = [requestOf(), requestOf({ headers: { 'rt-method': 'other' } })]
  await adapter.park(queue, work, letter('CRASHED'))
  await adapter.park(queue, other, letter('CRASHED'))
  expect(await adapter.deadLetters(queue).replay({ method: 'nobody' })).toBe(0)
  expect(await adapter.deadLetters(queue).replay({ method: 'other' })).toBe(1)
  expect(await adapter.stats(queue)).toMatchObject({ ready: 1, dead: 1 })
  expect(await listIds(adapter)).toEqual([work.id])
})
