import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('at least once')
export const atLeastOnce = cases

claim('a send whose worker loses its connection in the middle is run by another one', async (t) => {
  const wire = t.wire()
  const hang = createGate()
  const first = await t.serve(
    probe,
    {
      work: unused,
      async note({ key }) {
        t.ledger.enter(`first ${key}`)
        await hang.opened
      },
    },
    { wire },
  )
  await t.client().service(probe).note.send({ key: 'a' })
  await eventually(() => t.ledger.runs('first a') === 1)
  wire.faults.disconnect()
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.finish(key) })
  await eventually(() => t.ledger.finished('a') === 1)
  hang.open()
  await eventually(() => first.counters['lostDeliveries'] === 1)
  await isEmpty(await t.adapter(), queueRef())
})

claim('a call whose worker is cut off is answered by the next one, and its first run is told', async (t) => {
  const wire = t.wire()
  let reason: unknown
  await t.serve(
    probe,
    {
      note: unused,
      async work({ key }, ctx) {
        t.ledger.enter(key)
        reason = await aborted(ctx.signal)
        throw reason
      },
    },
    { wire },
  )
  const answer = t.client().service(probe).work({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  wire.faults.disconnect()
  await t.serve(probe, { note: unused, work: () => 'from the second' })
  expect(await answer).toBe('from the second')
  await eventually(() => reason !== undefined)
})

claim('a reply that the broker did not confirm is sent again, and only then is the call acked', async (t) => {
  const wire = t.wire()
  let replies = 0
  wire.faults.plans.reply = () => (++replies === 1 ? { outcome: 'unknown', isStored: false } : undefined)
  const worker = await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), 'done') }, { wire })
  expect(await t.client().service(probe).work({ key: 'a' })).toBe('done')
  await eventually(() => wire.faults.events.of('ack').length === 1)
  expect(wire.faults.events.all.filter(({ kind }) => kind === 'replyOutcome' || kind === 'ack')).toMatchObject([
    { kind: 'replyOutcome', detail: 'unknown' },
    { kind: 'replyOutcome', detail: 'stored' },
    { kind: 'ack' },
  ])
  expect(t.ledger.runs('a')).toBe(1)
  expect(worker.counters['repliesResent']).toBe(1)
})

claim('with workers that lose their connection again and again, every call is answered', async (t) => {
  const wires = [t.wire(), t.wire()]
  for (const wire of wires)
    await t.serve(
      probe,
      {
        note: unused,
        async work({ key }) {
          t.ledger.enter(key)
          await new Promise((resolve) => setImmediate(resolve))
          return key
        },
      },
      { wire },
    )
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
  const calls = t
    .client()
    .service(probe)
    .work.map(
      keys.map((key) => ({ key })),
      { inFlight: 40, ordered: true },
    )
  const answered = calls.values()
  for (let round = 0; round < 4; round++) {
    const wire = wires[round % 2]
    const before = t.ledger.keys.length
    await eventually(() => t.ledger.keys.length >= Math.min(200, before + 20))
    wire?.faults.disconnect()
    await wire?.faults.reconnect()
  }
  expect(await answered).toEqual(keys)
  expect(t.ledger.keys.toSorted()).toEqual(keys.toSorted())
})
