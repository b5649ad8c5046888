import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('duplicates')
export const duplicates = cases

claim('a running call that is handed over again is adopted: one run, one answer, one ack', async (t) => {
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
    { wire },
  )
  const client = t.client()
  const call = client.service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  wire.faults.redeliver(call.id)
  await eventually(() => wire.faults.events.of('delivery', call.id).length === 2)
  go.open()
  expect(await call).toBe('a')
  await isEmpty(await t.adapter(), queueRef())
  expect(t.ledger.runs('a')).toBe(1)
  expect(wire.faults.events.of('reply', call.id)).toHaveLength(1)
  expect(wire.faults.events.of('ack', call.id)).toMatchObject([{ detail: undefined }])
  expect((worker.counters['duplicates'] ?? 0) + (worker.counters['lostDeliveries'] ?? 0)).toBeGreaterThan(0)
})

claim('a call that finished and whose ack was lost is acked again and not run again', async (t) => {
  const wire = t.wire()
  const lost = new Set<string>()
  wire.faults.plans.ack = ({ id }) => {
    if (lost.has(id)) return undefined
    lost.add(id)
    return 'lost'
  }
  const worker = await t.serve(
    probe,
    { note: ({ key }) => t.ledger.enter(key), work: ({ key }) => (t.ledger.enter(key), key) },
    { wire },
  )
  const stub = t.client().service(probe)
  expect(await stub.work({ key: 'a' })).toBe('a')
  await stub.note.send({ key: 'b' })
  await eventually(() => worker.counters['duplicates'] === 2)
  await isEmpty(await t.adapter(), queueRef())
  expect([t.ledger.runs('a'), t.ledger.runs('b')]).toEqual([1, 1])
  expect(wire.faults.events.of('reply')).toHaveLength(1)
})

claim(
  'a worker that was cut off in the middle and gets its own call again does not begin a second run beside it',
  async (t) => {
    const wire = t.wire()
    let running = 0
    let most = 0
    await t.serve(
      probe,
      {
        note: unused,
        async work({ key }, ctx) {
          t.ledger.enter(key)
          most = Math.max(most, ++running)
          await new Promise<void>((resolve) => {
            if (t.ledger.runs(key) > 1) resolve()
            ctx.signal.addEventListener('abort', () => setImmediate(resolve), { once: true })
          })
          running--
          return 'done'
        },
      },
      { wire },
    )
    const call = t.client().service(probe).work.start({ key: 'a' })
    await eventually(() => t.ledger.runs('a') === 1)
    wire.faults.disconnect()
    await wire.faults.reconnect()
    expect(await call).toBe('done')
    expect(most).toBe(1)
  },
)

claim(
  'a reply that was stored and not confirmed is stored again: the caller has one answer and counts the other',
  async (t) => {
    const wire = t.wire()
    let replies = 0
    wire.faults.plans.reply = () => (++replies === 1 ? { outcome: 'unknown', isStored: true } : undefined)
    await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) }, { wire })
    const client = t.client()
    expect(await client.service(probe).work({ key: 'a' })).toBe('a')
    await eventually(() => wire.faults.events.of('ack').length === 1)
    await eventually(() => replies === 2)
    expect(t.ledger.runs('a')).toBe(1)
    expect(await client.service(probe).work({ key: 'b' })).toBe('b')
    expect(client.counters['lateReplies'] ?? 0).toBeLessThanOrEqual(1)
  },
)

const RECEIPT = { id: 'order-7' }

claim(
  'a second send of an id is stored once and resolves, from whatever client and whatever its input',
  async (t) => {
    const clients = [t.client(), t.client()]
    const send = async (index: number, key: string): Promise<unknown> =>
      clients[index % 2]?.service(probe).note.send({ key }, { id: 'order-7' })
    expect(await Promise.all([send(0, 'a'), send(0, 'a'), send(1, 'a')])).toEqual([RECEIPT, RECEIPT, RECEIPT])
    const adapter = await t.adapter()
    expect((await adapter.stats(queueRef())).ready).toBe(1)
    await t.serve(probe, { work: unused, note: ({ key }, ctx) => t.ledger.enter(`${key} ${ctx.callId}`) })
    await isEmpty(adapter, queueRef())
    // Also when it has run: the id is known for a while.
    expect(await send(1, 'another input')).toEqual(RECEIPT)
    await clients[0]?.service(probe).note.send({ key: 'b' }, { id: 'order-8' })
    await eventually(() => t.ledger.runs('b order-8') === 1)
    expect(t.ledger.keys).toEqual(['a order-7', 'b order-8'])
  },
  { needs: 'dedupeMs' },
)
