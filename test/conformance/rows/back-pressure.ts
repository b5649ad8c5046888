import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { HEADER } from '../../../protocol/headers.ts'
import { HOST_ID } from '../../../protocol/host-id.ts'
import { aborted, callOf, errorOf, probe, unused } from '../probe.ts'
import { isEmpty, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('back-pressure')
export const backPressure = cases

claim('a full outbox refuses at once and proves no; what is in it goes out later', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire, outbox: { calls: 3 } })
  await client.ready()
  await t.serve(probe, { note: ({ key }) => t.ledger.enter(key), work: ({ key }) => key })
  wire.faults.disconnect()
  const stub = client.service(probe)
  const kept = [stub.work({ key: 'a' }), stub.note.send({ key: 'b' }), stub.work({ key: 'c' })]
  for (const refused of [stub.work({ key: 'd' }), stub.note.send({ key: 'e' })])
    expect(await errorOf(refused)).toMatchObject({ code: 'OVERLOADED', executed: 'no', stage: 'outbox' })
  expect(client.counters['overloaded']).toBe(2)
  await wire.faults.reconnect()
  const [first, , third] = await Promise.all(kept)
  expect([first, third]).toEqual(['a', 'c'])
  expect(await stub.work({ key: 'f' })).toBe('f')
})

claim('its bytes are bounded too', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire, outbox: { bytes: 10_000 } })
  await client.ready()
  wire.faults.disconnect()
  const stub = client.service(probe)
  const kept = stub.note.send({ key: 'a', value: 'x'.repeat(6_000) })
  expect((await errorOf(stub.note.send({ key: 'b', value: 'x'.repeat(6_000) }))).code).toBe('OVERLOADED')
  await wire.faults.reconnect()
  await kept
  await stub.note.send({ key: 'c', value: 'x'.repeat(6_000) })
})

claim('while the broker is blocked nothing is published; then everything is', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  wire.faults.block()
  const answers = ['a', 'b'].map((key) => client.service(probe).work({ key }))
  const refused = await errorOf(client.service(probe).work({ key: 'c' }, { timeoutMs: 100 }))
  expect(refused).toMatchObject({ code: 'TIMEOUT', executed: 'no', stage: 'outbox' })
  expect(wire.faults.events.of('publish')).toEqual([])
  wire.faults.unblock()
  expect(await Promise.all(answers)).toEqual(['a', 'b'])
})

claim('a worker runs at most concurrency at once and holds at most prefetch', async (t) => {
  const wire = t.wire()
  let running = 0
  let most = 0
  await t.serve(
    probe,
    {
      note: unused,
      async work() {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 2))
        running--
      },
    },
    { wire, concurrency: 3, prefetch: 5 },
  )
  const keys = Array.from({ length: 60 }, (_, index) => ({ key: `k${index}` }))
  await t.client().service(probe).work.map(keys, { inFlight: 60 }).values()
  expect(most).toBe(3)
  let held = 0
  let mostHeld = 0
  for (const { kind } of wire.faults.events.all) {
    if (kind === 'delivery') mostHeld = Math.max(mostHeld, ++held)
    if (kind === 'reply') held-- // a broker may settle a call with its answer, before the ack
  }
  expect(mostHeld).toBe(5)
})

claim('a worker whose broker is blocked still runs sends, so that the queue drains', async (t) => {
  const wire = t.wire()
  const worker = await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) }, { wire })
  wire.faults.block()
  expect(worker.health().state).toBe('blocked')
  await t.client().service(probe).note.send({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  await isEmpty(await t.adapter(), queueRef())
  wire.faults.unblock()
  expect(worker.health().state).toBe('consuming')
})

claim('while the broker is blocked the outbox refuses when it is full, and failFast does not wait', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire, outbox: { calls: 3 } })
  await client.ready()
  await t.serve(probe, { note: ({ key }) => t.ledger.enter(key), work: ({ key }) => key })
  const stub = client.service(probe)
  expect(await stub.work({ key: 'before' })).toBe('before')
  const before = wire.faults.events.of('publish').length
  wire.faults.block()
  const kept = [stub.work({ key: 'a' }), stub.note.send({ key: 'b' }), stub.work({ key: 'c' })]
  const refused = await errorOf(stub.work({ key: 'd' }))
  expect(refused).toMatchObject({ code: 'OVERLOADED', executed: 'no', stage: 'outbox' })
  const hurried = await errorOf(stub.work({ key: 'e' }, { failFast: true }))
  expect(hurried).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no', stage: 'outbox' })
  expect(hurried.message).toContain('blocked')
  expect(wire.faults.events.of('publish')).toHaveLength(before)
  wire.faults.unblock()
  const [first, , third] = await Promise.all(kept)
  expect([first, third]).toEqual(['a', 'c'])
  expect(wire.faults.events.of('publish')).toHaveLength(before + 3)
})

claim(
  'what was under way to a broker that becomes blocked is confirmed when it is not any more, and sent once',
  async (t) => {
    const wire = t.wire()
    const client = t.client({ wire })
    await client.ready()
    await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
    const confirm = createGate()
    wire.faults.plans.publish = () => ({ outcome: 'stored', after: confirm.opened })
    const answer = client.service(probe).work({ key: 'a' })
    await eventually(() => wire.faults.events.of('publish').length === 1)
    wire.faults.block()
    expect(await answer).toBe('a') // answers come in all the same
    wire.faults.unblock()
    confirm.open()
    await eventually(() => wire.faults.events.of('outcome').length === 1)
    expect([wire.faults.events.of('publish').length, t.ledger.runs('a')]).toEqual([1, 1])
  },
)

claim('a worker whose broker is blocked runs calls only while there is room for their answers', async (t) => {
  const wire = t.wire()
  const handlers = { note: unused, work: ({ key }: { readonly key: string }) => (t.ledger.enter(key), key) }
  const options = { wire, concurrency: 1, prefetch: 20, tuning: { maxReplies: 2 } }
  const worker = await t.serve(probe, { ...handlers, note: ({ key }) => t.ledger.enter(key) }, options)
  wire.faults.block()
  const stub = t.client().service(probe)
  const keys = ['a', 'b', 'c', 'd', 'e']
  const answers = keys.map((key) => stub.work({ key }))
  await eventually(() => t.ledger.total === 2 && worker.health().queues[0]?.held === 5)
  await stub.note.send({ key: 'sent' })
  await eventually(() => t.ledger.runs('sent') === 1)
  expect(t.ledger.total).toBe(3)
  expect(wire.faults.events.of('reply')).toEqual([])
  wire.faults.unblock()
  expect(await Promise.all(answers)).toEqual(keys)
  for (const key of keys) expect(t.ledger.runs(key)).toBe(1)
  await isEmpty(await t.adapter(), queueRef())
  expect(worker.counters['repliesResent']).toBeUndefined()
})

claim('a worker whose broker stays blocked drops answers past their deadline, so that the queue drains', async (t) => {
  const wire = t.wire()
  const worker = await t.serve(
    probe,
    { note: unused, work: ({ key }) => (t.ledger.enter(key), key) },
    { wire, concurrency: 1, prefetch: 2, tuning: { maxReplies: 1 } },
  )
  wire.faults.block()
  const adapter = await t.adapter()
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, () => t.ledger.enter('answer'))
  const headers = { [HEADER.host]: HOST_ID, [HEADER.deadline]: String(Date.now() + 600) }
  const calls = Array.from({ length: 6 }, (_, index) =>
    callOf({ key: `k${index}` }, { replyTo: inbox.address, headers }),
  )
  await publishAll(adapter, queueRef(), calls)
  await isEmpty(adapter, queueRef())
  expect(t.ledger.keys).toHaveLength(1)
  if (!t.capabilities.isPartitioned) expect(t.ledger.keys).toEqual(['k0'])
  expect(worker.counters).toMatchObject({ expired: 5, repliesAbandoned: 6 })
  expect(wire.faults.events.of('reply')).toEqual([])
})

claim('map keeps at most inFlight under way or unread', async (t) => {
  const go = createGate()
  await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
        return key
      },
    },
    { concurrency: 50 },
  )
  let drawn = 0
  function* inputs(): Generator<{ key: string }> {
    for (let index = 0; index < 40; index++) {
      drawn++
      yield { key: `k${index}` }
    }
  }
  const values = t.client().service(probe).work.map(inputs(), { inFlight: 7 }).values()
  await eventually(() => t.ledger.total === 7)
  expect(drawn).toBeLessThanOrEqual(8)
  go.open()
  expect(await values).toHaveLength(40)
})

claim(
  'three thousand calls and as many sends through small windows: each runs once and each is answered',
  async (t) => {
    const count = 3000
    await t.serve(
      probe,
      { note: ({ key }) => t.ledger.finish(key), work: ({ key }) => (t.ledger.enter(key), key) },
      { concurrency: 20 },
    )
    const client = t.client()
    const jobs = Array.from({ length: count }, (_, index) => ({ key: `k${index}` }))
    const [values, sent] = await Promise.all([
      client.service(probe).work.map(jobs, { inFlight: 100, ordered: true }).values(),
      client.service(probe).note.sendMany(jobs, { inFlight: 100 }),
    ])
    expect(values).toEqual(jobs.map(({ key }) => key))
    expect(sent.stored).toBe(count)
    expect(t.ledger.total).toBe(count)
    await eventually(() => t.ledger.finished('k2999') === 1)
    expect(client.counters).toEqual({})
  },
  { isAlone: true },
)

claim(
  'of a thousand calls that ended in every way nothing is left: not in the client, not in the queue',
  async (t) => {
    const wire = t.wire()
    // At the deadline a handler that ends then and the client's own timer race; whichever wins tells the truth. Here the
    // answer comes after the deadline, so that all four ends are met: each exactly as often as it was asked for.
    const timed = new Set<string>()
    wire.faults.plans.incoming = ({ type, correlationId }) => {
      if (timed.has(correlationId)) return 'hold'
      return type === 'error' ? 'twice' : undefined
    }
    await t.serve(
      probe,
      {
        note: unused,
        async work({ key }, ctx) {
          t.ledger.enter(key)
          if (key.startsWith('fails')) throw new Error(key)
          if (key.startsWith('hangs')) throw await aborted(ctx.signal)
          return key
        },
      },
      { concurrency: 300 },
    )
    const client = t.client({ wire })
    const stub = client.service(probe)
    const ways = ['works', 'fails', 'hangs until its deadline', 'hangs until it is cancelled']
    const calls = Array.from({ length: 1000 }, async (_, index) => {
      const way = ways[index % ways.length] ?? ''
      const key = `${way} ${index}`
      const call = stub.work.start({ key }, { timeoutMs: way.endsWith('deadline') ? 1000 : 60_000 })
      if (way.endsWith('deadline')) timed.add(call.id)
      if (way.endsWith('cancelled')) void call.stored().then(() => call.cancel())
      return { key, way, outcome: await call.outcome() }
    })
    const ended = await Promise.all(calls)
    wire.faults.letRepliesIn()
    await isEmpty(await t.adapter(), queueRef())
    const ends = new Map<string, number>()
    for (const { key, way, outcome } of ended) {
      const end = `${way}: ${outcome.status === 'ok' ? 'ok' : outcome.error.code}`
      ends.set(end, (ends.get(end) ?? 0) + 1)
      const executed = outcome.status === 'ok' ? 'yes' : outcome.error.executed
      if (executed !== 'unknown') expect([key, t.ledger.runs(key) > 0]).toEqual([key, executed === 'yes'])
    }
    expect(Object.fromEntries(ends)).toEqual({
      'works: ok': 250,
      'fails: HANDLER_FAILED': 250,
      'hangs until its deadline: TIMEOUT': 250,
      'hangs until it is cancelled: CANCELLED': 250,
    })
    const closedAt = performance.now()
    await client.close({ graceMs: 60_000 })
    expect(performance.now() - closedAt).toBeLessThan(30_000)
  },
  { isAlone: true },
)
