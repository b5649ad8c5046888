import { expect } from 'vitest'
import { HEADER } from '../../../protocol/headers.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { collectDeliveries, publishAll } from './collect-deliveries.ts'

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
  expect(got.ids).toEqual([...urgent, ...normal].map(({ id }) => id))
})

claim('it stays high when it is given back or its retry is due', async (t) => {
  const adapter = await t.adapter()
  await adapter.declare(queue)
  const urgent = high()
  await publishAll(adapter, queue, [urgent])
  const got = await collectDeliveries(adapter, queue, { prefetch: 1 })
  await got.came(1)
  await publishAll(adapter, queue, [requestOf(), requestOf()])
  got.deliveries[0]?.release()
  await got.came(2)
  await got.deliveries[1]?.retry({ delayMs: 0, headers: {} })
  await got.came(3)
  expect(got.ids.filter((id) => id === urgent.id).length).toBeGreaterThanOrEqual(2)
  while (got.ids.filter((id) => id === urgent.id).length < 3) {
    got.deliveries.at(-1)?.ack()
    await got.came(got.deliveries.length + 1)
  }
  // At most the one that was on its way when the retry was stored went before it.
  expect(got.ids.lastIndexOf(urgent.id)).toBeLessThanOrEqual(3)
})
