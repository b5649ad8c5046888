import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import type { HandlerContext } from '../../../worker/types.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, errorOf, probe, unused, type Job } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('overrun')
export const overrun = cases

claim('at the end of its time the signal aborts, and a handler that obeys has the last word', async (t) => {
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }, ctx) {
        await aborted(ctx.signal)
        if (key === 'throws') throw ctx.signal.reason
        return 'what I had'
      },
    },
    { attemptTimeoutMs: 200 },
  )
  const stub = t.client().service(probe)
  expect(await stub.work({ key: 'returns' })).toBe('what I had')
  expect(await errorOf(stub.work({ key: 'throws' }))).toMatchObject({ executed: 'yes', stage: 'running' })
  expect(worker.counters['overrun'] ?? 0).toBe(0)
})

claim('one that ignores it loses its call a second later, keeps its slot, and is named in a warning', async (t) => {
  const go = createGate()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work() {
        await go.opened
        return 'much too late'
      },
    },
    { attemptTimeoutMs: 100, concurrency: 2 },
  )
  const client = t.client()
  const error = await errorOf(client.service(probe).work({ key: 'a' }))
  expect(error).toMatchObject({ code: 'ATTEMPT_TIMEOUT', executed: 'unknown', stage: 'running' })
  expect(worker.counters['overrun']).toBe(1)
  expect(worker.health().queues[0]?.running).toBe(1)
  expect(t.lines.filter(({ code }) => code === 'OVERRUN').map(({ message }) => message)).toEqual([
    expect.stringContaining('probe.work'),
  ])
  await isEmpty(await t.adapter(), queueRef())
  go.open()
  await eventually(() => worker.health().queues[0]?.running === 0)
  expect(client.counters['lateReplies'] ?? 0).toBe(0)
})

claim('when all slots are overrun nothing is consumed, what is held goes to others, and it recovers', async (t) => {
  const go = createGate()
  const hanging = async (): Promise<unknown> => go.opened
  const stuck = await t.serve(
    probe,
    { note: unused, work: hanging },
    { attemptTimeoutMs: 100, concurrency: 1, prefetch: 3 },
  )
  const stub = t.client().service(probe)
  const first = stub.work.start({ key: 'first' })
  await eventually(() => stuck.health().queues[0]?.running === 1)
  const others = ['b', 'c'].map((key) => stub.work({ key }))
  expect(await first.outcome()).toMatchObject({ error: { code: 'ATTEMPT_TIMEOUT' } })
  await eventually(() => stuck.health().queues[0]?.consuming === false)
  const healthy = await t.serve(probe, { note: unused, work: ({ key }) => `healthy ${key}` })
  expect(await Promise.all(others)).toEqual(['healthy b', 'healthy c'])
  await healthy.close()
  go.open()
  await eventually(() => stuck.health().queues[0]?.consuming === true)
  expect(await first.outcome()).toMatchObject({ error: { code: 'ATTEMPT_TIMEOUT' } })
})

claim(
  'the time of an attempt is what the contract says, else that of serve, else the rest of the deadline; a send has 15 min',
  async (t) => {
    const job = type<Job>()
    const timed = defineService('timed', {
      methods: {
        short: method({ input: job, output: type<number>(), attemptTimeoutMs: 300 }),
        plain: method({ input: job, output: type<number>() }),
        note: method({ input: job, oneWay: true }),
      },
    })
    const sends: number[] = []
    const handlers = {
      short: (_: Job, ctx: Pick<HandlerContext, 'remainingMs'>) => ctx.remainingMs(),
      plain: (_: Job, ctx: Pick<HandlerContext, 'remainingMs'>) => ctx.remainingMs(),
      note: (_: Job, ctx: Pick<HandlerContext, 'remainingMs'>) => void sends.push(ctx.remainingMs()),
    }
    const given = await t.serve(timed, handlers, { attemptTimeoutMs: 5_000 })
    const stub = t.client().service(timed)
    expect(await stub.short({ key: 'a' })).toBeLessThanOrEqual(300)
    const plain = await stub.plain({ key: 'a' })
    expect([plain > 300, plain <= 5_000]).toEqual([true, true])
    await given.close()
    await t.serve(timed, handlers)
    expect(await stub.plain({ key: 'a' }, { timeoutMs: 20_000 })).toBeGreaterThan(5_000)
    await stub.note.send({ key: 'a' })
    const [send = 0] = await eventually(() => sends.length > 0 && sends)
    expect([send > 890_000, send <= 900_000]).toEqual([true, true])
  },
)
