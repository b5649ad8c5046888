import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('silent consumer')
export const silentConsumer = cases

claim('it is replaced; meanwhile health says that it does not consume, and what it held is settled', async (t) => {
  const wire = t.wire()
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
        return key
      },
    },
    { wire, concurrency: 3, tuning: { silentMs: 200, rebuildMs: 1_000 } },
  )
  const stub = t.client().service(probe)
  const held = stub.work({ key: 'held' })
  await eventually(() => t.ledger.runs('held') === 1)
  wire.faults.mute()
  const waiting = stub.work({ key: 'waiting' })
  await eventually(() => worker.health().queues[0]?.consuming === false)
  expect(worker.health().state).toBe('starting')
  wire.faults.unmute()
  await eventually(() => t.ledger.runs('waiting') === 1)
  expect(worker.health()).toMatchObject({ state: 'consuming', queues: [{ consuming: true, running: 2 }] })
  go.open()
  expect(await Promise.all([held, waiting])).toEqual(['held', 'waiting'])
  expect(worker.counters['consumersRebuilt']).toBeGreaterThan(0)
  expect([t.ledger.runs('held'), t.ledger.runs('waiting')]).toEqual([1, 1])
  await isEmpty(await t.adapter(), queueRef())
})

claim('it is replaced at most once in a while, however silent the new one is', async (t) => {
  const wire = t.wire()
  const worker = await t.serve(
    probe,
    { note: ({ key }) => t.ledger.enter(key), work: unused },
    { wire, tuning: { silentMs: 50, rebuildMs: 700 } },
  )
  wire.faults.mute()
  await t.client().service(probe).note.send({ key: 'a' })
  const since = performance.now()
  await eventually(() => worker.counters['consumersRebuilt'] === 3)
  expect(performance.now() - since).toBeGreaterThan(2 * 700)
  wire.faults.unmute()
  await eventually(() => t.ledger.runs('a') === 1)
  expect(wire.faults.events.of('consume').length).toBeLessThanOrEqual(5)
})

claim('one that waits for nothing, has no free credit or is away is left alone', async (t) => {
  const wire = t.wire()
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
        return key
      },
    },
    { wire, concurrency: 1, prefetch: 1, tuning: { silentMs: 20, rebuildMs: 20 } },
  )
  const looks = async (): Promise<void> => {
    const endsAt = performance.now() + 200
    await eventually(() => performance.now() > endsAt)
  }
  await looks()
  expect(worker.health().state).toBe('consuming')
  const stub = t.client().service(probe)
  const answers = ['a', 'b'].map((key) => stub.work({ key }))
  await eventually(() => t.ledger.total === 1)
  await looks()
  expect(worker.health().state).toBe('consuming')
  wire.faults.disconnect()
  await looks()
  expect(worker.health().queues[0]?.consuming).toBe(false)
  await wire.faults.reconnect()
  go.open()
  expect(await Promise.all(answers)).toEqual(['a', 'b'])
  expect(worker.counters['consumersRebuilt']).toBeUndefined()
})
