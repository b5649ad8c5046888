import { expect } from 'vitest'
import { HEADER } from '../../../protocol/headers.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { collectDeliveries, expectIds, idsOf, publishAll } from './collect-deliveries.ts'

const { cases, claim } = claimsOf('seam priority')
export const priority = cases

const queue = queueRef({ features: { keyed: false, priority: true, frames: false } })
const high = () => requestOf({ headers: { [HEADER.priority]: 'high' } })

claim('what is high goes before what waits already, in the order of publishing each', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const normal = [requestOf(), requestOf()]
  const urgent = [high(), high()]
  await publishAll(adapter, queue, [...normal, ...urgent])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  for (let count = 1; count <= 4; count++) {
    await got.came(count)
    got.deliveries[count - 1]?.ack()
  }
  expectIds(t.capabilities, got.ids.slice(0, 2), idsOf(urgent))
  expectIds(t.capabilities, got.ids.slice(2), idsOf(normal))
})

claim('it stays high when it is given back or its retry is due', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const urgent = high()
  await publishAll(adapter, queue, [urgent])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  await got.came(1)
  await publishAll(
    adapter,
    queue,
    Array.from({ length: 12 }, () => requestOf()),
  )
  /** The place of the urgent one among all that came; others are acked on the way. */
  const nextUrgent = async (from: number): Promise<number> => {
    for (let index = from; ; index++) {
      const delivery = await got.at(index)
      if (delivery.message.id === urgent.id) return index
      delivery.ack()
    }
  }
  got.deliveries[0]?.release()
  const second = await nextUrgent(1)
  await got.deliveries[second]?.retry({ delayMs: 0, headers: {} })
  const third = await nextUrgent(second + 1)
  // Only those that were on their way already go before it, of twelve.
  expect(second).toBeLessThanOrEqual(3)
  expect(third - second).toBeLessThanOrEqual(4)
})
