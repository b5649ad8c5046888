import { expect } from 'vitest'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { eventually } from '../../support/eventually.ts'
import { collectDeliveries, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam queues')
export const queues = cases

const queue = queueRef()
const WHY = { code: 'CRASHED', reason: 'x', attempts: 1 }

claim('a new adapter says up, and stops twice without harm', async (t) => {
  const adapter = await t.adapter()
  expect(adapter.states).toContain('up')
  await adapter.stop()
  await adapter.stop()
})

claim('stats count what waits, is delayed, is out, is dead, and who consumes', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  expect(await adapter.stats(queue)).toMatchObject({ ready: 0, dead: 0, consumers: 0 })
  await publishAll(adapter, queue, [requestOf(), requestOf(), requestOf(), requestOf({ delayMs: 60_000 })])
  await adapter.park(queue, requestOf(), WHY)
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  await got.came(1)
  await eventually(async () => (await adapter.stats(queue)).ready === 2)
  const { ready, dead, consumers, delayed, active } = await adapter.stats(queue)
  expect({ ready, dead, consumers, delayed: delayed ?? 1, active: active ?? 1 }).toEqual({
    ready: 2,
    dead: 1,
    consumers: 1,
    delayed: 1,
    active: 1,
  })
})

claim('a consumer that stops, or whose connection ends, is counted no more', async (t) => {
  const [one, other, looking] = [await t.adapter(), await t.adapter(), await t.adapter()]
  const first = await collectDeliveries(one, queue)
  await collectDeliveries(other, queue)
  await eventually(async () => (await looking.stats(queue)).consumers === 2)
  await first.subscription.stop()
  await eventually(async () => (await looking.stats(queue)).consumers === 1)
  await other.stop()
  await eventually(async () => (await looking.stats(queue)).consumers === 0)
})

claim('a purge takes one kind and leaves the others, and what is out', async (t) => {
  const adapter = await t.adapter()
  const held = requestOf()
  await publishAll(adapter, queue, [held])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  const delivery = await got.at(0)
  await publishAll(adapter, queue, [requestOf(), requestOf(), requestOf({ delayMs: 60_000 })])
  await adapter.park(queue, requestOf(), WHY)

  expect(await adapter.purge(queue, 'ready')).toBe(2)
  expect(await adapter.stats(queue)).toMatchObject({ ready: 0, dead: 1 })
  expect(await adapter.purge(queue, 'delayed')).toBe(1)
  expect(await adapter.purge(queue, 'dead')).toBe(1)
  expect(await adapter.purge(queue, 'dead')).toBe(0)
  expect(delivery.isLost).toBe(false)
  delivery.release()
  expect((await got.at(1)).message.id).toBe(held.id)
})

claim('queues of other groups, services and versions are not touched', async (t) => {
  const adapter = await t.adapter()
  const others = [queueRef({ group: 'other' }), queueRef({ service: 'other' }), queueRef({ major: 'v2' })]
  for (const ref of [queue, ...others]) await publishAll(adapter, ref, [requestOf()])
  expect(await adapter.purge(queue, 'ready')).toBe(1)
  for (const other of others) expect((await adapter.stats(other)).ready).toBe(1)
})

claim('after stop, what asks the broker rejects', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  await adapter.stop()
  await expect(adapter.stats(queue)).rejects.toThrow(/BROKER_UNAVAILABLE|CLOSED/)
  await expect(adapter.purge(queue, 'ready')).rejects.toThrow(/BROKER_UNAVAILABLE|CLOSED/)
  await expect(adapter.consume(queue, { prefetch: 1 }, () => {})).rejects.toThrow(/BROKER_UNAVAILABLE|CLOSED/)
})
