import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { errorOf, probe, unused } from '../probe.ts'

const { cases, claim } = claimsOf('reconnect')
export const reconnect = cases

claim('what is called and sent while the broker is away goes out when it is back', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  await t.serve(probe, { note: ({ key }) => t.ledger.enter(key), work: ({ key }) => key })
  wire.faults.disconnect()
  const stub = client.service(probe)
  const call = stub.work.start({ key: 'a' })
  const sent = stub.note.send({ key: 'b' })
  expect(call.stage).toBe('outbox')
  await wire.faults.reconnect()
  expect(await call).toBe('a')
  await sent
  await eventually(() => t.ledger.runs('b') === 1)
})

claim('what may have been lost is sent again under its id, unchanged but for a mark', async (t) => {
  const wire = t.wire()
  let published = 0
  wire.faults.plans.publish = () => (++published === 1 ? { outcome: 'unknown', isStored: false } : undefined)
  await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
  const client = t.client({ wire })
  const call = client.service(probe).work.start({ key: 'a' }, { headers: { 'x-user': 'ann' } })
  expect(await call).toBe('a')
  const [first, second, ...more] = wire.faults.events.of('publish')
  expect(more).toEqual([])
  expect(second?.id).toBe(call.id)
  expect(second?.headers).toEqual({ ...first?.headers, 'rt-resent': '1' })
  expect(client.counters['resent']).toBe(1)
  expect(t.ledger.runs('a')).toBe(1)
})

claim(
  'what was stored and is sent again all the same runs once',
  async (t) => {
    const wire = t.wire()
    const seen = new Set<string>()
    wire.faults.plans.publish = ({ id }) => {
      if (seen.has(id)) return undefined
      seen.add(id)
      return { outcome: 'unknown', isStored: true }
    }
    const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
    const client = t.client({ wire })
    await Promise.all(keys.map((key) => client.service(probe).note.send({ key })))
    expect(client.counters['resent']).toBe(50)
    await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
    await client.service(probe).note.send({ key: 'last' })
    await eventually(() => t.ledger.total >= 51)
    expect(t.ledger.entries.toSorted()).toEqual([...keys, 'last'].toSorted())
  },
  { needs: 'dedupeMs' },
)

claim('answers that waited in the inbox are read before anything is sent again', async (t) => {
  const wire = t.wire()
  const never = createGate()
  wire.faults.plans.publish = () => ({ outcome: 'stored', after: never.opened })
  const replied = t.wire()
  await t.serve(probe, { note: unused, work: ({ key }) => key }, { wire: replied })
  let waiting = 0
  wire.faults.plans.incoming = () => {
    waiting++
    return 'hold'
  }
  const client = t.client({ wire })
  const call = client.service(probe).work.start({ key: 'a' })
  await eventually(() => replied.faults.events.of('ack', call.id).length === 1)
  await eventually(() => waiting === 1)
  expect(call.stage).toBe('outbox')
  wire.faults.disconnect()
  await wire.faults.reconnect()
  expect(await call).toBe('a')
  expect(wire.faults.events.of('publish')).toHaveLength(1)
  expect(client.counters['resent'] ?? 0).toBe(0)
})

claim('an answer that comes while the broker is away is there when it is back', async (t) => {
  const wire = t.wire()
  const go = createGate()
  const worker = t.wire()
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
    { wire: worker },
  )
  const call = t.client({ wire }).service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  wire.faults.disconnect()
  go.open()
  await eventually(() => worker.faults.events.of('ack', call.id).length === 1)
  await wire.faults.reconnect()
  expect(await call).toBe('a')
  expect(t.ledger.runs('a')).toBe(1)
})

claim('a client whose connection breaks again and again gets every answer once', async (t) => {
  const wire = t.wire()
  await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
  const client = t.client({ wire })
  const answered = client
    .service(probe)
    .work.map(
      keys.map((key) => ({ key })),
      { inFlight: 30, ordered: true },
    )
    .values()
  for (let round = 1; round <= 6; round++) {
    await eventually(() => wire.faults.events.of('incoming').length >= round * 25)
    wire.faults.disconnect()
    await wire.faults.reconnect()
  }
  expect(await answered).toEqual(keys)
  expect(t.ledger.keys).toHaveLength(200)
})

claim('a worker that was cut off consumes again, and says meanwhile that it does not', async (t) => {
  const wire = t.wire()
  const worker = await t.serve(probe, { note: unused, work: ({ key }) => key }, { wire })
  const stub = t.client().service(probe)
  for (let round = 0; round < 3; round++) {
    expect(worker.health()).toMatchObject({ state: 'consuming', queues: [{ consuming: true }] })
    expect(await stub.work({ key: `up ${round}` })).toBe(`up ${round}`)
    wire.faults.disconnect()
    expect(worker.health()).toMatchObject({ state: 'starting', queues: [{ consuming: false }] })
    const waiting = stub.work({ key: `down ${round}` })
    await wire.faults.reconnect()
    expect(await waiting).toBe(`down ${round}`)
  }
})

claim(
  'an outage that is longer than the deadline ends the call, and a copy that may be stored is unknown',
  async (t) => {
    const wire = t.wire()
    const client = t.client({ wire })
    await client.ready()
    wire.faults.plans.publish = () => ({ outcome: 'stored', after: new Promise(() => {}) })
    const call = client.service(probe).work({ key: 'a' }, { timeoutMs: 800 })
    await eventually(() => wire.faults.events.of('publish').length === 1)
    wire.faults.disconnect()
    expect(await errorOf(call)).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' })
  },
)
