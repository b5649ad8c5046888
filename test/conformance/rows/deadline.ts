import { expect } from 'vitest'
import type { Reply } from '../../../protocol/message.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { parseWireError, type WireError } from '../../../protocol/wire-errors.ts'
import { HOST_ID } from '../../../protocol/host-id.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef, type CaseContext } from '../case-context.ts'
import { aborted, callOf, errorOf, probe, unused } from '../probe.ts'
import { isEmpty, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('deadline')
export const deadline = cases

/** Puts a call of a foreign program on the queue and gives the worker's answer to it. */
async function ask(t: CaseContext, headers: Readonly<Record<string, string>>): Promise<Reply> {
  const adapter = await t.adapter()
  const replies: Reply[] = []
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, (reply, done) => {
    replies.push(reply)
    done()
  })
  await publishAll(adapter, queueRef(), [callOf({ key: 'a' }, { replyTo: inbox.address, headers })])
  return eventually(() => replies[0])
}

const errorIn = (reply: Reply): WireError => parseWireError(cborCodec.decode(reply.body))

claim('the handler sees it, its signal aborts there, and the caller has its TIMEOUT', async (t) => {
  let seen: number | undefined
  let remaining: number | undefined
  let reason: unknown
  const go = createGate()
  await t.serve(probe, {
    note: unused,
    async work(_, ctx) {
      seen = ctx.deadline
      remaining = ctx.remainingMs()
      reason = await aborted(ctx.signal)
      await go.opened // else its answer could just be in time
    },
  })
  const startedAt = Date.now()
  const error = await errorOf(t.client().service(probe).work({ key: 'a' }, { timeoutMs: 800 }))
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' })
  await eventually(() => reason !== undefined)
  go.open()
  expect(seen).toBeGreaterThanOrEqual(startedAt + 800)
  expect(seen).toBeLessThan(startedAt + 5_800)
  expect(remaining).toBeLessThanOrEqual(800)
})

claim('time in the queue counts: what expired there is not run', async (t) => {
  const wire = t.wire()
  wire.faults.plans.remove = () => 'miss'
  const error = await errorOf(t.client({ wire }).service(probe).work({ key: 'late' }, { timeoutMs: 800 }))
  expect(error.code).toBe('TIMEOUT')
  await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
  expect(await t.client().service(probe).work({ key: 'next' })).toBe('next')
  expect(t.ledger.keys).toEqual(['next'])
})

claim('time in the worker counts too: what waited for a slot too long is not run', async (t) => {
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
      },
    },
    { concurrency: 1, prefetch: 5 },
  )
  const stub = t.client().service(probe)
  const first = stub.work({ key: 'first' })
  await eventually(() => t.ledger.runs('first') === 1)
  const second = stub.work.start({ key: 'second' }, { timeoutMs: 4_000 })
  await eventually(() => worker.health().queues[0]?.held === 1)
  expect(await second.outcome()).toMatchObject({ error: { code: 'TIMEOUT' } })
  go.open()
  await first
  await eventually(() => (worker.counters['expired'] ?? 0) + (worker.counters['cancelled'] ?? 0) === 1)
  expect(t.ledger.keys).toEqual(['first'])
})

claim('an expired call is answered EXPIRED with both times; on the same clock at once', async (t) => {
  const worker = await t.serve(probe, { note: unused, work: ({ key }) => t.ledger.enter(key) })
  const at = Date.now() - 50
  const reply = await ask(t, { 'rt-host': HOST_ID, 'rt-deadline': String(at), 'rt-sent': String(at - 1000) })
  const error = errorIn(reply)
  expect(error).toMatchObject({ code: 'EXPIRED' })
  expect(error.executed).toBe(t.capabilities.provesFirstDelivery ? 'no' : 'unknown')
  expect(error.message).toContain(new Date(at).toISOString())
  expect(error.message).toContain(new Date(at - 1000).toISOString())
  expect(worker.counters['expired']).toBe(1)
  expect(t.ledger.total).toBe(0)
})

claim('the clock of another machine may be some seconds behind', async (t) => {
  await t.serve(probe, { note: unused, work: () => 'run' })
  const reply = await ask(t, { 'rt-host': 'another', 'rt-deadline': String(Date.now() - 2_000) })
  expect([reply.type, cborCodec.decode(reply.body)]).toEqual(['result', 'run'])
})

claim('clocks minutes apart: the error names both times, and the worker warns', async (t) => {
  await t.serve(probe, { note: unused, work: ({ key }) => t.ledger.enter(key) })
  const at = Date.now() - 300_000
  const error = errorIn(
    await ask(t, { 'rt-host': 'another', 'rt-deadline': String(at), 'rt-sent': String(at - 30_000) }),
  )
  expect(error.code).toBe('EXPIRED')
  expect(error.message).toContain(new Date(at).toISOString())
  expect(error.message).toContain(new Date(at - 30_000).toISOString())
  expect(error.message).toMatch(/worker's clock said \d{4}-\d\d-\d\dT/)
  expect(t.lines.some(({ code, message }) => code === 'EXPIRED' && message.includes(new Date(at).toISOString()))).toBe(
    true,
  )
  expect(t.ledger.total).toBe(0)
})

claim('call, stub, contract, client: the nearest timeoutMs counts', async (t) => {
  const deadlines: number[] = []
  await t.serve(probe, { note: unused, work: (_, ctx) => void deadlines.push(ctx.remainingMs()) })
  const client = t.client({ timeoutMs: 40_000 })
  await client.service(probe).work({ key: 'client' })
  await client.service(probe, { timeoutMs: 20_000 }).work({ key: 'stub' })
  await client.service(probe, { timeoutMs: 20_000 }).work({ key: 'call' }, { timeoutMs: 9_000 })
  expect(deadlines.map((ms) => Math.ceil(ms / 10_000))).toEqual([4, 2, 1])
})

claim(
  'a send has none, unless expiresMs gives it one: then it is not begun after it, and nothing is kept',
  async (t) => {
    const client = t.client()
    const stub = client.service(probe)
    await stub.note.send({ key: 'expires' }, { expiresMs: 100 })
    await stub.note.send({ key: 'expires, delayed' }, { delayMs: 50, expiresMs: 100 })
    const endsAt = Date.now() + 101
    await stub.note.send({ key: 'stays' })
    await stub.note.send({ key: 'has time' }, { expiresMs: 60_000 })
    await eventually(() => Date.now() > endsAt)
    const deadlines = new Map<string, number>()
    await t.serve(probe, {
      work: unused,
      note({ key }, ctx) {
        t.ledger.enter(key)
        deadlines.set(key, ctx.remainingMs())
      },
    })
    await isEmpty(await t.adapter(), queueRef())
    expect([...t.ledger.keys].toSorted()).toEqual(['has time', 'stays'])
    expect(deadlines.get('has time')).toBeLessThanOrEqual(60_000)
    expect(deadlines.get('stays')).toBeGreaterThan(800_000)
    expect((await client.queue(probe).stats()).dead).toBe(0)
  },
)

claim('a send that expires while it waits for a slot is acked and counted', async (t) => {
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      work: unused,
      async note({ key }) {
        t.ledger.enter(key)
        await go.opened
      },
    },
    { concurrency: 1, prefetch: 5 },
  )
  const client = t.client()
  const stub = client.service(probe)
  await stub.note.send({ key: 'first' })
  await eventually(() => t.ledger.runs('first') === 1)
  await stub.note.send({ key: 'second' }, { expiresMs: 200 })
  const endsAt = Date.now() + 201
  await eventually(() => worker.health().queues[0]?.held === 1 && Date.now() > endsAt)
  go.open()
  await isEmpty(await t.adapter(), queueRef())
  expect(worker.counters['expired']).toBe(1)
  expect(t.ledger.keys).toEqual(['first'])
  expect((await client.queue(probe).stats()).dead).toBe(0)
})
