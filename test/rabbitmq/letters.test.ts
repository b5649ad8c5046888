import { connect } from 'amqplib'
import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, inject, test } from 'vitest'
import type { BrokerAdapter } from '../../broker-adapters/adapter.ts'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { queueRef, requestOf } from '../conformance/case-context.ts'
import { allOf, eventuallyPasses } from '../support/eventually.ts'

const { url: given, whyNot } = inject('rabbitmq')
const url = given ?? ''
const queue = queueRef()
const WHY = { code: 'CRASHED', reason: 'no', attempts: 1 }
const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

async function started(namespace: string): Promise<BrokerAdapter> {
  const adapter = rabbitmq({ url }).create()
  const processId = `p-${randomUUID().slice(0, 8)}`
  const quiet = { log: () => {}, onState: () => {}, now: Date.now, maxPayloadBytes: 1_000_000 }
  await adapter.start({ namespace, processId, ...quiet })
  cleanUps.push(() => adapter.stop())
  return adapter
}

async function parked(adapter: BrokerAdapter, count: number, bytes = 1): Promise<string[]> {
  await adapter.declare(queue)
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    const message = requestOf({ body: Buffer.alloc(bytes) })
    ids.push(message.id)
    await adapter.park(queue, message, WHY)
  }
  return ids
}
const idsIn = async (adapter: BrokerAdapter): Promise<string[]> =>
  (await allOf(adapter.deadLetters(queue).list())).map(({ message }) => message.id)
const newNamespace = (): string => `t-${randomUUID().slice(0, 8)}`

describe.skipIf(given === undefined)(`dead letters${given === undefined ? ` [${whyNot}]` : ''}`, () => {
  test('readers side by side see all of them, in their order, as often as they look', async () => {
    const namespace = newNamespace()
    const [one, other] = [await started(namespace), await started(namespace)]
    const ids = await parked(one, 20)
    const seen = await Promise.all([one, other, one, other].map(idsIn))
    expect(seen).toEqual([ids, ids, ids, ids])
    expect(await idsIn(one)).toEqual(ids)
  }, 20_000)

  test('more than a window is read window by window; a reader that leaves or stops gives all back', async () => {
    const namespace = newNamespace()
    const [one, other] = [await started(namespace), await started(namespace)]
    const ids = await parked(one, 10, 10 * 1024 * 1024)
    expect(await idsIn(one)).toEqual(ids)
    for await (const { message } of one.deadLetters(queue).list()) {
      expect(message.id).toBe(ids[0])
      break
    }
    expect((await one.stats(queue)).dead).toBe(10)
    const letters = one.deadLetters(queue).list()[Symbol.asyncIterator]()
    await letters.next()
    expect((await other.stats(queue)).dead).toBeLessThan(10)
    await one.stop()
    await expect(
      (async () => {
        while (!(await letters.next()).done);
      })(),
    ).rejects.toThrow(/BROKER_UNAVAILABLE|CLOSED/)
    await eventuallyPasses(async () => expect((await idsIn(other)).toSorted()).toEqual(ids.toSorted()))
    expect(await other.deadLetters(queue).purge({})).toBe(10)
  }, 60_000)

  test('what a stranger put there is listed, replayed and purged like the rest', async () => {
    const namespace = newNamespace()
    const adapter = await started(namespace)
    await parked(adapter, 1)
    const connection = await connect(url)
    cleanUps.push(() => connection.close())
    const channel = await connection.createConfirmChannel()
    const name = `${namespace}.dead.${queue.group}.${queue.service}.${queue.major}`
    for (let index = 0; index < 2; index++) channel.sendToQueue(name, Buffer.of(index), { persistent: true })
    await channel.waitForConfirms()
    const letters = await allOf(adapter.deadLetters(queue).list())
    expect(letters.map(({ code, reason }) => [code, reason])).toEqual([
      ['CRASHED', 'no'],
      ['CRASHED', expect.stringContaining('by a program that gave no reason')],
      ['CRASHED', expect.stringContaining('by a program that gave no reason')],
    ])
    expect(await adapter.deadLetters(queue).purge({})).toBe(3)
    expect((await adapter.stats(queue)).dead).toBe(0)
  }, 20_000)
})
