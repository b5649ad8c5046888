import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, errorOf, probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('cancel')
export const cancel = cases

claim(
  'what waits in the queue is removed, never runs, and is proved not to',
  async (t) => {
    const call = t.client().service(probe).work.start({ key: 'a' })
    await call.stored()
    call.cancel('changed my mind')
    const outcome = await call.outcome()
    expect(outcome).toMatchObject({ error: { code: 'CANCELLED', executed: 'no', stage: 'queued' } })
    expect(outcome.status === 'error' && outcome.error.message).toContain('changed my mind')
    await t.serve(probe, { note: unused, work: ({ key }) => t.ledger.enter(key) })
    await t.client().service(probe).work({ key: 'b' })
    expect(t.ledger.keys).toEqual(['b'])
  },
  { needs: 'removesQueued' },
)

claim('what runs hears it by its signal, and the promise tells what is known', async (t) => {
  let reason: unknown
  const worker = await t.serve(probe, {
    note: unused,
    async work({ key }, ctx) {
      t.ledger.enter(key)
      reason = await aborted(ctx.signal)
      throw reason
    },
  })
  const controller = new AbortController()
  const call = t.client().service(probe).work({ key: 'a' }, { signal: controller.signal })
  await eventually(() => t.ledger.runs('a') === 1)
  controller.abort(new Error('user left'))
  const error = await errorOf(call)
  expect(error.code).toBe('CANCELLED')
  expect(error.message).toContain('user left')
  expect(['yes', 'unknown']).toContain(error.executed)
  await eventually(() => reason !== undefined)
  await eventually(() => worker.counters['cancelled'] === 1)
  await isEmpty(await t.adapter(), queueRef())
})

claim('a handler that goes on all the same does not hold the promise up', async (t) => {
  const go = createGate()
  await t.serve(probe, {
    note: unused,
    async work({ key }) {
      t.ledger.enter(key)
      await go.opened
      t.ledger.finish(key)
    },
  })
  const call = t.client().service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  call.cancel()
  expect(await call.outcome()).toMatchObject({ error: { code: 'CANCELLED', executed: 'unknown' } })
  expect(t.ledger.finished('a')).toBe(0)
  go.open()
})

claim('a signal that is aborted before publishes nothing', async (t) => {
  const wire = t.wire()
  const error = await errorOf(
    t
      .client({ wire })
      .service(probe)
      .work({ key: 'a' }, { signal: AbortSignal.abort('no') }),
  )
  expect(error).toMatchObject({ code: 'CANCELLED', executed: 'no', stage: 'outbox' })
  expect(wire.faults.events.of('publish')).toEqual([])
})

claim('while the broker is away it is withdrawn from the outbox, and not published later', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  wire.faults.disconnect()
  const call = client.service(probe).work.start({ key: 'a' })
  call.cancel()
  expect(await call.outcome()).toMatchObject({ error: { code: 'CANCELLED', executed: 'no' } })
  await wire.faults.reconnect()
  await client.service(probe).note.send({ key: 'b' })
  expect(wire.faults.events.of('publish', call.id)).toEqual([])
})

claim('what a worker holds and has not begun is not run', async (t) => {
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
    { concurrency: 1, prefetch: 5 },
  )
  const stub = t.client().service(probe)
  const first = stub.work({ key: 'first' })
  await eventually(() => t.ledger.runs('first') === 1)
  const held = stub.work.start({ key: 'held' })
  await eventually(() => worker.health().queues[0]?.held === 1)
  held.cancel()
  expect(await held.outcome()).toMatchObject({ error: { code: 'CANCELLED' } })
  await eventually(() => worker.counters['cancelled'] === 1)
  go.open()
  expect(await first).toBe('first')
  expect(await stub.work({ key: 'last' })).toBe('last')
  expect(t.ledger.keys).toEqual(['first', 'last'])
})

claim('where the broker could not remove it, the worker remembers and does not run it', async (t) => {
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
    { concurrency: 1, prefetch: 1 },
  )
  const wire = t.wire()
  wire.faults.plans.remove = () => 'miss'
  const stub = t.client({ wire }).service(probe)
  const first = stub.work({ key: 'first' })
  await eventually(() => t.ledger.runs('first') === 1)
  const waiting = stub.work.start({ key: 'waiting' })
  await waiting.stored()
  waiting.cancel()
  expect(await waiting.outcome()).toMatchObject({ error: { code: 'CANCELLED' } })
  go.open()
  await first
  await eventually(() => worker.counters['cancelled'] === 1)
  expect(t.ledger.keys).toEqual(['first'])
})

claim(
  'at its deadline a client cancels too: the queue is free of it',
  async (t) => {
    const adapter = await t.adapter()
    const client = t.client()
    const call = client.service(probe).work.start({ key: 'a' }, { timeoutMs: 800 })
    expect(await call.outcome()).toMatchObject({ error: { code: 'TIMEOUT' } })
    await isEmpty(adapter, queueRef())
  },
  { needs: 'removesQueued' },
)
