import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf, invariant } from '../case.ts'
import { aborted, errorOf, probe, unused } from '../probe.ts'

const { cases, claim } = claimsOf('one outcome')

claim('a call that nobody answers ends at its deadline', async (t) => {
  const startedAt = performance.now()
  const error = await errorOf(t.client().service(probe).work({ key: 'a' }, { timeoutMs: 800 }))
  expect(error.code).toBe('TIMEOUT')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(790)
})

claim('so it does while the broker is away, and a send too', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  wire.faults.disconnect()
  const stub = client.service(probe)
  const ends = [stub.work({ key: 'a' }, { timeoutMs: 200 }), stub.note.send({ key: 'b' }, { timeoutMs: 200 })]
  const errors = await Promise.all(ends.map(errorOf))
  expect(errors.map(({ code, executed }) => [code, executed])).toEqual([
    ['BROKER_UNAVAILABLE', 'no'],
    ['BROKER_UNAVAILABLE', 'no'],
  ])
})

claim('an answer that comes after the deadline changes nothing', async (t) => {
  const wire = t.wire()
  wire.faults.plans.incoming = () => 'hold'
  await t.serve(probe, { note: unused, work: () => 'too late' })
  const client = t.client({ wire })
  await client.ready()
  // Time enough for a busy machine: what is not begun at its deadline is not answered.
  const call = client.service(probe).work.start({ key: 'a' }, { timeoutMs: 4_000 })
  expect(await call.outcome()).toMatchObject({ status: 'error', error: { code: 'TIMEOUT', executed: 'unknown' } })
  wire.faults.letRepliesIn()
  await eventually(() => client.counters['lateReplies'] === 1)
  expect(await call.outcome()).toMatchObject({ error: { code: 'TIMEOUT' } })
})

claim('closing the client ends what is left', async (t) => {
  const client = t.client()
  const call = client.service(probe).work.start({ key: 'a' })
  await call.stored()
  await client.close({ graceMs: 0 })
  expect(await call.outcome()).toMatchObject({ error: { code: 'CLOSED', executed: 'unknown', stage: 'queued' } })
  const late = await errorOf(client.service(probe).work({ key: 'b' }))
  expect([late.code, late.executed]).toEqual(['CLOSED', 'no'])
})

claim('what a closing client leaves is cancelled at the worker', async (t) => {
  let reason: unknown
  await t.serve(probe, {
    note: unused,
    async work({ key }, ctx) {
      t.ledger.enter(key)
      reason = await aborted(ctx.signal)
    },
  })
  const client = t.client()
  const call = client.service(probe).work.start({ key: 'a' }, { timeoutMs: 600_000 })
  await eventually(() => t.ledger.runs('a') === 1)
  await client.close({ graceMs: 0 })
  expect(await call.outcome()).toMatchObject({ error: { code: 'CLOSED', executed: 'unknown' } })
  await eventually(() => reason !== undefined)
  expect(reason).toMatchObject({ code: 'CANCELLED' })
})

claim('a client that closes waits for what is under way', async (t) => {
  const go = createGate()
  await t.serve(probe, {
    note: unused,
    async work({ key }) {
      t.ledger.enter(key)
      await go.opened
      return 'in time'
    },
  })
  const client = t.client()
  const answer = client.service(probe).work({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  const closing = client.close({ graceMs: 10_000 })
  go.open()
  expect(await answer).toBe('in time')
  await closing
})

claim('a held call that fails and that nobody looks at harms nobody', async (t) => {
  const call = t.client().service(probe).work.start({ key: 'a' }, { timeoutMs: 800 })
  await eventually(() => call.stage === 'settled')
  expect((await errorOf(call.then(() => {}))).code).toBe('TIMEOUT')
  expect((await errorOf(call.then(() => {}))).code).toBe('TIMEOUT')
})

export const oneOutcome = [
  ...cases,

  invariant('register before publish', async (t) => {
    const wire = t.wire()
    const never = createGate()
    // The confirmation never comes: only the answer tells that the call was stored.
    wire.faults.plans.publish = () => ({ outcome: 'stored', after: never.opened })
    await t.serve(probe, { note: unused, work: ({ key }) => key })
    const client = t.client({ wire })
    await client.ready() // so that each call leaves in the turn in which it is made
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
    const stub = client.service(probe)
    // One by one they are answered fastest, side by side they are many: both race with whoever registers too late.
    for (const key of keys.slice(0, 20)) expect(await stub.work({ key }, { timeoutMs: 10_000 })).toBe(key)
    const answers = await Promise.all(keys.map((key) => stub.work({ key }, { timeoutMs: 10_000 })))
    expect(answers).toEqual(keys)
    expect(wire.faults.events.of('outcome')).toEqual([])
    expect(client.counters['lateReplies'] ?? 0).toBe(0)
    never.open()
  }),

  invariant('each call has exactly one outcome', async (t) => {
    const wire = t.wire()
    wire.faults.plans.incoming = () => 'twice'
    await t.serve(
      probe,
      {
        note: unused,
        async work({ key }, ctx) {
          if (key.startsWith('fails')) throw new Error(key)
          if (key.startsWith('hangs')) throw await aborted(ctx.signal)
          return key
        },
      },
      { concurrency: 100 },
    )
    const client = t.client({ wire })
    const ends = new Map<string, string[]>()
    const calls = ['answers', 'fails', 'hangs', 'cancelled'].flatMap((how) =>
      Array.from({ length: 20 }, (_, index) => {
        const key = `${how === 'cancelled' ? 'hangs cancelled' : how} ${index}`
        const seen: string[] = []
        ends.set(key, seen)
        const call = client.service(probe).work.start({ key }, { timeoutMs: how === 'hangs' ? 2_000 : 15_000 })
        call.then(
          () => seen.push('ok'),
          () => seen.push('error'),
        )
        void call.outcome().then(({ status }) => seen.push(status))
        if (how === 'cancelled') void call.stored().then(() => call.cancel())
        return call
      }),
    )
    await Promise.all(calls.map((call) => call.outcome()))
    await eventually(() => [...ends.values()].every((seen) => seen.length === 2))
    for (const [key, seen] of ends) expect([key, ...seen]).toEqual([key, ...sameTwice(key)])
    expect(client.counters['lateReplies']).toBeGreaterThanOrEqual(40)

    function sameTwice(key: string): string[] {
      const end = key.startsWith('answers') ? 'ok' : 'error'
      return [end, end]
    }
  }),
]
