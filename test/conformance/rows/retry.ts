import { expect } from 'vitest'
import { NonRetryableError, RetryAfter } from '../../../worker/errors.ts'
import { eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { errorOf, probe, stubborn, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('retry')
export const retry = cases

claim('a call runs once: what is thrown is the answer', async (t) => {
  await t.serve(probe, {
    note: unused,
    work({ key }) {
      t.ledger.enter(key)
      throw new Error('no')
    },
  })
  expect(await errorOf(t.client().service(probe).work({ key: 'a' }))).toMatchObject({
    code: 'HANDLER_FAILED',
    attempts: 1,
  })
  expect(t.ledger.runs('a')).toBe(1)
})

claim('a call whose contract asks for it is tried again, and knows which attempt it is', async (t) => {
  const attempts: number[] = []
  const worker = await t.serve(stubborn, {
    note: unused,
    work({ key }, ctx) {
      attempts.push(ctx.attempt)
      if (ctx.attempt < 3) throw new Error('not yet')
      return key
    },
  })
  expect(await t.client().service(stubborn).work({ key: 'a' })).toBe('a')
  expect(attempts).toEqual([1, 2, 3])
  expect(worker.counters['retried']).toBe(2)
})

claim('a call that used all its attempts ends with their number', async (t) => {
  await t.serve(stubborn, {
    note: unused,
    work({ key }) {
      t.ledger.enter(key)
      throw new Error('never')
    },
  })
  const error = await errorOf(t.client().service(stubborn).work({ key: 'a' }))
  expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes', attempts: 3 })
  expect(t.ledger.runs('a')).toBe(3)
})

claim('a send is tried five times, the first included', async (t) => {
  const worker = await t.serve(probe, {
    work: unused,
    note({ key }) {
      t.ledger.enter(key)
      throw new Error('never')
    },
  })
  await t.client().service(probe).note.send({ key: 'a' })
  await eventually(() => worker.counters['deadLettered'] === 1)
  expect(t.ledger.runs('a')).toBe(5)
})

claim('RetryAfter waits at least that long', async (t) => {
  const at: number[] = []
  await t.serve(stubborn, {
    note: unused,
    work() {
      at.push(performance.now())
      if (at.length === 1) throw new RetryAfter(300)
      return 'done'
    },
  })
  expect(await t.client().service(stubborn).work({ key: 'a' })).toBe('done')
  const [first = 0, second = 0] = at
  expect(second - first).toBeGreaterThanOrEqual(280)
})

claim('a long wait is spent in the broker: its attempt and history travel, and the worker is free', async (t) => {
  const wire = t.wire()
  await t.serve(
    stubborn,
    {
      work: unused,
      note() {
        throw new RetryAfter(600_000)
      },
    },
    { wire },
  )
  const { id } = await t.client().service(stubborn).note.send({ key: 'a' })
  const stored = await eventually(() => wire.faults.events.of('retry', id)[0])
  expect(stored.headers).toMatchObject({ 'rt-attempt': '2', 'rt-ran': '1' })
  expect(stored.headers?.['rt-history']).toContain('attempt 1')
  const adapter = await t.adapter()
  await eventually(async () => {
    const { delayed, active } = await adapter.stats(queueRef())
    return (delayed ?? 1) === 1 && (active ?? 0) === 0
  })
})

claim('NonRetryableError ends it at once', async (t) => {
  const worker = await t.serve(stubborn, {
    note({ key }) {
      t.ledger.enter(key)
      throw new NonRetryableError('hopeless')
    },
    work({ key }) {
      t.ledger.enter(key)
      throw new NonRetryableError('hopeless')
    },
  })
  const stub = t.client().service(stubborn)
  expect(await errorOf(stub.work({ key: 'a' }))).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes', attempts: 1 })
  await stub.note.send({ key: 'b' })
  await eventually(() => worker.counters['deadLettered'] === 1)
  expect([t.ledger.runs('a'), t.ledger.runs('b')]).toEqual([1, 1])
})

claim('a retry that would be due after the deadline is not made: the last error is the answer', async (t) => {
  await t.serve(stubborn, {
    note: unused,
    work({ key }) {
      t.ledger.enter(key)
      throw new RetryAfter(60_000)
    },
  })
  const error = await errorOf(t.client().service(stubborn).work({ key: 'a' }, { timeoutMs: 10_000 }))
  expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes', attempts: 1 })
  expect(t.ledger.runs('a')).toBe(1)
})

claim('a retry that a closing worker held goes on in another one, counted', async (t) => {
  const first = await t.serve(stubborn, {
    note: unused,
    work({ key }) {
      t.ledger.enter(`first ${key}`)
      throw new RetryAfter(400)
    },
  })
  const answer = t.client().service(stubborn).work({ key: 'a' })
  await eventually(() => first.counters['retried'] === 1)
  await first.close()
  await t.serve(stubborn, { note: unused, work: (_, ctx) => ctx.attempt })
  expect(await answer).toBe(2)
  await isEmpty(await t.adapter(), queueRef())
})
