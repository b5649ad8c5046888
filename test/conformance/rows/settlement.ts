import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method } from '../../../contract/method.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import type { SeamEvents } from '../../support/seam-events.ts'
import { claimsOf, invariant } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, errorOf, probe, stubborn, unused } from '../probe.ts'
import { aNumber, objectOf } from '../schemas.ts'
import { collectDeliveries, isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('settlement')

const SETTLEMENTS = new Set(['ack', 'retry', 'deadLetter', 'release'])
const settlementsOf = (events: SeamEvents, id: string): string[] =>
  events.all.filter((event) => event.id === id && SETTLEMENTS.has(event.kind)).map(({ kind }) => kind)

claim('returned: answered and acked', async (t) => {
  const wire = t.wire()
  await t.serve(probe, { note: unused, work: ({ key }) => key }, { wire })
  const call = t.client().service(probe).work.start({ key: 'a' })
  expect(await call).toBe('a')
  await eventually(() => settlementsOf(wire.faults.events, call.id).length > 0)
  expect(settlementsOf(wire.faults.events, call.id)).toEqual(['ack'])
  await isEmpty(await t.adapter(), queueRef())
})

claim('failed for good: a call is answered and acked, a send dead-lettered', async (t) => {
  const wire = t.wire()
  await t.serve(probe, { note: unused, work: unused }, { wire })
  const newer = defineService('probe', {
    methods: { unheard: method({}), unheardNote: method({ oneWay: true }) },
  })
  const stub = t.client().service(newer)
  const call = stub.unheard.start()
  await call.outcome()
  const { id } = await stub.unheardNote.send()
  await eventually(() => settlementsOf(wire.faults.events, id).length > 0)
  expect(settlementsOf(wire.faults.events, call.id)).toEqual(['ack'])
  expect(settlementsOf(wire.faults.events, id)).toEqual(['deadLetter'])
})

claim('an output that does not fit the contract: INVALID_OUTPUT, yes, with its issues', async (t) => {
  const strict = defineService('probe', {
    methods: { work: method({ output: objectOf<{ n: number }>({ n: aNumber }), retry: { attempts: 3 } }) },
  })
  const handlers = {
    work() {
      t.ledger.enter('a')
      return JSON.parse('{"n":"text"}')
    },
  }
  await t.serve(strict, handlers)
  const error = await errorOf(t.client().service(strict).work())
  expect(error).toMatchObject({ code: 'INVALID_OUTPUT', executed: 'yes', stage: 'running' })
  expect(error.issues).toEqual([expect.objectContaining({ path: ['n'] })])
  expect(t.ledger.runs('a')).toBe(1)
})

claim('an output over the limit, or that cannot be encoded, is the error of the call', async (t) => {
  const wire = t.wire()
  await t.serve(
    probe,
    { note: unused, work: ({ key }) => (key === 'large' ? 'x'.repeat(5000) : Symbol('no')) },
    { wire, maxPayloadBytes: 4096 },
  )
  const stub = t.client().service(probe)
  expect(await errorOf(stub.work({ key: 'large' }))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'yes' })
  expect(await errorOf(stub.work({ key: 'symbol' }))).toMatchObject({ code: 'INVALID_OUTPUT', executed: 'yes' })
  await isEmpty(await t.adapter(), queueRef())
})

claim(
  'the caller is gone: the call is acked and counted',
  async (t) => {
    const go = createGate()
    const worker = await t.serve(probe, {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
      },
    })
    const client = t.client()
    const call = client.service(probe).work.start({ key: 'a' })
    await eventually(() => t.ledger.runs('a') === 1)
    await client.close({ graceMs: 0 })
    expect(await call.outcome()).toMatchObject({ error: { code: 'CLOSED' } })
    go.open()
    await eventually(() => worker.counters['repliesGone'] === 1)
    await isEmpty(await t.adapter(), queueRef())
  },
  { needs: 'knowsGone' },
)

claim('a delivery that was lost is not settled: somebody else has it', async (t) => {
  const wire = t.wire()
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }, ctx) {
        t.ledger.enter(key)
        await Promise.all([go.opened, aborted(ctx.signal)])
        return 'what I had'
      },
    },
    { wire },
  )
  const call = t.client().service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  wire.faults.disconnect()
  await t.serve(probe, { note: unused, work: () => 'second' })
  expect(await call).toBe('second')
  go.open()
  await eventually(() => worker.health().queues[0]?.running === 0)
  expect(settlementsOf(wire.faults.events, call.id)).toEqual([])
  expect(wire.faults.events.of('reply')).toEqual([])
})

claim('a result is true whoever has the delivery: it is answered, and the call not run here again', async (t) => {
  const wire = t.wire()
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
        return 'first'
      },
    },
    { wire },
  )
  const call = t.client().service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  wire.faults.disconnect()
  // Somebody else has it now, and is as slow.
  const holding = await collectDeliveries(await t.adapter(), queueRef())
  const elsewhere = await holding.at(0)
  go.open()
  await eventually(() => worker.health().queues[0]?.running === 0)
  await holding.subscription.pause()
  await wire.faults.reconnect()
  expect(await call).toBe('first')
  await eventually(() => worker.counters['lateResults'] === 1)
  expect(settlementsOf(wire.faults.events, call.id)).toEqual([])
  elsewhere.release()
  await isEmpty(await t.adapter(), queueRef())
  expect(settlementsOf(wire.faults.events, call.id)).toEqual(['ack'])
  expect(t.ledger.runs('a')).toBe(1)
})

export const settlement = [
  ...cases,

  invariant('reply confirmed before ack', async (t) => {
    const wire = t.wire()
    const confirm = createGate()
    wire.faults.plans.reply = () => ({ outcome: 'stored', after: confirm.opened })
    await t.serve(probe, { note: unused, work: ({ key }) => key }, { wire, concurrency: 5 })
    const keys = Array.from({ length: 5 }, (_, index) => `k${index}`)
    const stub = t.client().service(probe)
    // The caller has its answer long before the worker's confirmation.
    expect(await Promise.all(keys.map((key) => stub.work({ key })))).toEqual(keys)
    expect(wire.faults.events.of('ack')).toEqual([])
    confirm.open()
    await eventually(() => wire.faults.events.of('ack').length === 5)
    const { all } = wire.faults.events
    for (const { id } of wire.faults.events.of('ack'))
      expect(all.findIndex((event) => event.kind === 'replyOutcome' && event.id === id)).toBeLessThan(
        all.findIndex((event) => event.kind === 'ack' && event.id === id),
      )
  }),

  invariant('each delivery settled exactly once', async (t) => {
    const wire = t.wire()
    const acked = new Set<string>()
    wire.faults.plans.ack = ({ id }) => {
      if (acked.has(id) || acked.size >= 5) return undefined
      acked.add(id)
      return 'lost'
    }
    const worker = await t.serve(
      stubborn,
      {
        note({ key }, ctx) {
          if (key.startsWith('fails')) throw new Error('never')
          if (key.startsWith('again') && ctx.attempt === 1) throw new Error('once')
        },
        work({ key }, ctx) {
          if (key.startsWith('fails')) throw new Error('never')
          if (key.startsWith('again') && ctx.attempt === 1) throw new Error('once')
          return key
        },
      },
      { wire },
    )
    const stub = t.client().service(stubborn)
    const keys = Array.from({ length: 30 }, (_, index) => `${['fails', 'again', 'works'][index % 3] ?? ''} ${index}`)
    const calls = keys.map((key) => stub.work.start({ key }))
    await Promise.all(keys.map((key) => stub.note.send({ key })))
    await Promise.all(calls.map((call) => call.outcome()))
    await isEmpty(await t.adapter(), queueRef())
    await worker.close()
    const { all } = wire.faults.events
    const deliveries = all.filter(({ kind }) => kind === 'delivery').map(({ delivery }) => delivery)
    const settled = all.filter(({ kind }) => SETTLEMENTS.has(kind)).map(({ delivery }) => delivery)
    expect(deliveries.length).toBeGreaterThanOrEqual(65)
    expect(new Set(settled)).toEqual(new Set(deliveries))
    expect(settled).toHaveLength(deliveries.length)
  }),
]
