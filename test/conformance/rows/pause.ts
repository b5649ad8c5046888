import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { NonRetryableError } from '../../../worker/errors.ts'
import { defineService } from '../../../contract/define-service.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { errorOf, probe, unused } from '../probe.ts'
import { expectStats, isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('pause')
export const pause = cases

claim(
  'what is called and sent to a paused queue waits, whichever workers come, and runs in its order when it is resumed',
  async (t) => {
    const client = t.client()
    const admin = client.queue(probe)
    const note = ({ key }: { key: string }): void => t.ledger.enter(key)
    await t.serve(probe, { note, work: ({ key }) => (note({ key }), key) }, { concurrency: 1 })
    await admin.pause()
    expect(await admin.stats()).toMatchObject({ isPaused: true, consumers: 1 })
    const stub = client.service(probe)
    await stub.note.send({ key: 'a' })
    const call = stub.work.start({ key: 'b' })
    await call.stored()
    const [wire, other] = [t.wire(), t.client()]
    const late = await t.serve(probe, { note, work: ({ key }) => (note({ key }), key) }, { concurrency: 1, wire })
    await stub.note.send({ key: 'c' })
    expectStats(await other.queue(probe).stats(), { ready: 3, active: 0, isPaused: true, consumers: 2 })
    expect([t.ledger.total, wire.faults.events.of('delivery').length, late.health().state]).toEqual([0, 0, 'consuming'])
    await other.queue(probe).resume()
    expect(await call).toBe('b')
    await isEmpty(await t.adapter(), queueRef())
    expect([...t.ledger.entries].toSorted()).toEqual(['a', 'b', 'c'])
    expect(await admin.stats()).toMatchObject({ ready: 0, isPaused: false })
  },
)

claim('what runs goes on: it is answered, tried again or kept while the queue is paused', async (t) => {
  const go = createGate()
  await t.serve(probe, {
    async work({ key }) {
      t.ledger.enter(key)
      await go.opened
      return key
    },
    async note({ key }) {
      t.ledger.enter(key)
      await go.opened
      throw new NonRetryableError('hopeless')
    },
  })
  const client = t.client()
  const call = client.service(probe).work.start({ key: 'a' })
  await client.service(probe).note.send({ key: 'b' })
  await eventually(() => t.ledger.total === 2)
  await client.queue(probe).pause()
  go.open()
  expect(await call).toBe('a')
  await eventually(async () => (await client.queue(probe).stats()).dead === 1)
  expectStats(await client.queue(probe).stats(), { ready: 0, active: 0, isPaused: true })
})

claim(
  'a call whose deadline passes there is a TIMEOUT and never runs; what is cancelled there is removed',
  async (t) => {
    const client = t.client()
    const admin = client.queue(probe)
    await admin.pause()
    await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
    const { work } = client.service(probe)
    const cancelled = work.start({ key: 'cancelled' })
    await cancelled.stored()
    cancelled.cancel()
    expect(await errorOf(work({ key: 'expired' }, { timeoutMs: 1_000 }))).toMatchObject({
      code: 'TIMEOUT',
      stage: 'queued',
      message: expect.stringContaining('the queue is paused'),
    })
    expect(await errorOf(cancelled)).toMatchObject({ code: 'CANCELLED' })
    await admin.resume()
    expect(await work({ key: 'later' })).toBe('later')
    expect(t.ledger.keys).toEqual(['later'])
  },
)

claim('a dead letter that is replayed into a paused queue waits with the others, and purge counts it', async (t) => {
  let isMended = false
  await t.serve(probe, {
    work: unused,
    note({ key }) {
      t.ledger.enter(key)
      if (!isMended) throw new NonRetryableError('hopeless')
    },
  })
  const client = t.client()
  const admin = client.queue(probe)
  await client.service(probe).note.send({ key: 'a' })
  await client.service(probe).note.send({ key: 'b' })
  await eventually(async () => (await admin.stats()).dead === 2)
  isMended = true
  await admin.pause()
  expect(await admin.deadLetters.replay({})).toEqual({ count: 2 })
  expectStats(await admin.stats(), { ready: 2, dead: 0, active: 0 })
  expect(t.ledger.total).toBe(2)
  await admin.resume()
  await eventually(() => t.ledger.total === 4)
  await admin.pause()
  await client.service(probe).note.send({ key: 'c' })
  await client.service(probe).note.send({ key: 'd' }, { delayMs: 600_000 })
  expect(await admin.purge()).toEqual({ count: 2 })
  expectStats(await admin.stats(), { ready: 0, delayed: 0 })
})

claim('the queue of another group goes on', async (t) => {
  const client = t.client()
  await client.queue(probe).pause()
  await t.serve(probe, { note: unused, work: ({ key }) => key }, { group: 'other' })
  expect(await client.service(probe, { group: 'other' }).work({ key: 'a' })).toBe('a')
  expect(await client.queue(probe, { group: 'other' }).stats()).toMatchObject({ isPaused: false })
})

claim(
  'health says so when every queue of a worker is paused, until one goes on; it is no silent consumer',
  async (t) => {
    const other = defineService('other-probe', { methods: probe.methods })
    const note = ({ key }: { key: string }): void => t.ledger.enter(key)
    const worker = t.worker({ tuning: { silentMs: 200, rebuildMs: 200 } })
    await worker.serve(probe, { note, work: unused }).serve(other, { note, work: unused }).start()
    const client = t.client()
    await client.queue(probe).pause()
    await client.service(probe).note.send({ key: 'a' })
    await eventually(() => worker.health().queues[0]?.consuming === false)
    expect(worker.health()).toMatchObject({ state: 'consuming', queues: [{ service: 'probe' }, { consuming: true }] })
    await client.queue(other).pause()
    await eventually(() => worker.health().state === 'paused')
    expect(worker.health().queues.map(({ consuming }) => consuming)).toEqual([false, false])
    const endsAt = performance.now() + 800
    await eventually(() => performance.now() > endsAt)
    expect([worker.health().state, worker.counters['consumersRebuilt'], t.ledger.total]).toEqual([
      'paused',
      undefined,
      0,
    ])
    await client.queue(other).resume()
    await eventually(() => worker.health().state === 'consuming')
    expect(worker.health().queues.map(({ consuming }) => consuming)).toEqual([false, true])
    await client.queue(probe).resume()
    await eventually(() => t.ledger.runs('a') === 1)
    expect(worker.health()).toMatchObject({ state: 'consuming', queues: [{ consuming: true }, { consuming: true }] })
  },
)
