import { expect } from 'vitest'
import { HEADER } from '../../../protocol/headers.ts'
import { eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { collectDeliveries, idsOf, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam removal')
export const removal = cases

const queue = queueRef()

claim(
  'what waits is removed, from any connection, and never handed out',
  async (t) => {
    const [one, other] = [await t.adapter(), await t.adapter()]
    const messages = [requestOf(), requestOf(), requestOf()]
    await publishAll(one, queue, messages)
    expect(await other.remove?.(queue, messages[1]?.id ?? '')).toBe(true)
    const got = await collectDeliveries(one, queue)
    await got.came(2)
    expect(got.ids).toEqual(idsOf(messages).toSpliced(1, 1))
  },
  { needs: 'removesQueued' },
)

claim(
  'what waits for its delay is removed too',
  async (t) => {
    const adapter = await t.adapter()
    const message = requestOf({ delayMs: 60_000 })
    await publishAll(adapter, queue, [message])
    expect(await adapter.remove?.(queue, message.id)).toBe(true)
    expect((await adapter.stats(queue)).delayed ?? 0).toBe(0)
  },
  { needs: 'removesQueued' },
)

claim(
  'what is handed out, done, removed or unknown is not removed',
  async (t) => {
    const adapter = await t.adapter()
    const message = requestOf()
    await publishAll(adapter, queue, [message])
    const delivery = await (await collectDeliveries(adapter, queue)).at(0)
    expect(await adapter.remove?.(queue, message.id)).toBe(false)
    expect(delivery.isLost).toBe(false)
    delivery.ack()
    expect(await adapter.remove?.(queue, message.id)).toBe(false)
    expect(await adapter.remove?.(queue, 'never-was')).toBe(false)
  },
  { needs: 'removesQueued' },
)

claim(
  'what was handed out before, and came back or is tried again, is not said never to have run',
  async (t) => {
    const adapter = await t.adapter()
    const [released, retried] = [requestOf(), requestOf()]
    await publishAll(adapter, queue, [released, retried])
    const got = await collectDeliveries(adapter, queue)
    const [first, second] = [await got.at(0), await got.at(1)]
    await got.subscription.stop()
    first.release()
    await second.retry({ delayMs: 60_000, headers: { [HEADER.attempt]: '2' } })
    await eventually(async () => (await adapter.stats(queue)).ready === 1)
    expect(await adapter.remove?.(queue, released.id)).toBe(false)
    expect(await adapter.remove?.(queue, retried.id)).toBe(false)
  },
  { needs: 'removesQueued' },
)

claim(
  'it takes nothing from other queues',
  async (t) => {
    const adapter = await t.adapter()
    const other = queueRef({ group: 'other' })
    const message = requestOf()
    await publishAll(adapter, queue, [message])
    await publishAll(adapter, other, [message])
    expect(await adapter.remove?.(queue, message.id)).toBe(true)
    expect((await adapter.stats(other)).ready).toBe(1)
  },
  { needs: 'removesQueued' },
)

claim('an adapter has remove exactly if it says so', async (t) => {
  expect((await t.adapter()).remove !== undefined).toBe(t.capabilities.removesQueued)
})
