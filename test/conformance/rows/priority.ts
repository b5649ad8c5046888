import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { errorOf, probe, unused, type Job } from '../probe.ts'
import { expectIds, isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('priority')
export const priority = cases

const job = type<Job>()
const urgent = defineService('probe', {
  methods: {
    work: method({ input: job, output: type<string>(), priority: true }),
    note: method({ input: job, oneWay: true, priority: true, retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 2 } }),
    plain: method({ input: job, oneWay: true }),
  },
})
const queue = queueRef({ features: { keyed: false, priority: true, frames: false } })

claim('high runs before normal, calls and sends, each in its own order', async (t) => {
  const client = t.client()
  const stub = client.service(urgent)
  const hurried = client.service(urgent, { priority: 'high' })
  const calls = [stub.work.start({ key: 'normal 1' })]
  await calls[0]?.stored()
  await stub.note.send({ key: 'normal 2' }, { priority: 'normal' })
  await stub.plain.send({ key: 'normal 3' })
  await hurried.plain.send({ key: 'normal 4' })
  await stub.note.send({ key: 'high 1' }, { priority: 'high' })
  calls.push(hurried.work.start({ key: 'high 2' }))
  await calls[1]?.stored()
  await hurried.note.send({ key: 'normal 5' }, { priority: 'normal' })
  const ran: string[] = []
  const note = ({ key }: Job): void => void ran.push(key)
  const work = ({ key }: Job): string => (ran.push(key), key)
  await t.serve(urgent, { work, note, plain: note }, { concurrency: 1, prefetch: 1 })
  await Promise.all(calls)
  await isEmpty(await t.adapter(), queue)
  expectIds(t.capabilities, ran.slice(0, 2), ['high 1', 'high 2'])
  expectIds(t.capabilities, ran.slice(2), ['normal 1', 'normal 2', 'normal 3', 'normal 4', 'normal 5'])
})

claim(
  'what is high overtakes what waits in the broker while a worker is busy, and stays high when it is tried again',
  async (t) => {
    const [ran, go] = [[] as string[], createGate()]
    await t.serve(
      urgent,
      {
        plain: unused,
        work: unused as () => string,
        async note({ key }, ctx) {
          ran.push(key)
          await go.opened
          if (key === 'high' && ctx.attempt === 1) throw new Error('again')
        },
      },
      { concurrency: 1, prefetch: 1 },
    )
    const stub = t.client().service(urgent)
    for (const key of ['first', 'second', 'third']) await stub.note.send({ key })
    await eventually(() => ran.length === 1)
    await stub.note.send({ key: 'high' }, { priority: 'high' })
    go.open()
    await isEmpty(await t.adapter(), queue)
    const normal = ran.filter((key) => key !== 'high')
    expectIds(t.capabilities, normal, ['first', 'second', 'third'])
    expect(ran.filter((key) => key === 'high')).toHaveLength(2)
    expect(ran.indexOf('high')).toBe(1)
    // Tried again it is a new message, which is to come in before the next one goes.
    if (!t.capabilities.isPartitioned) expect(ran.lastIndexOf('high')).toBe(2)
  },
)

claim('a method that declares none takes none, and what is neither high nor normal is refused', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  const work = client.service(probe).work as (input: Job, options?: object) => Promise<unknown>
  const errors = [
    await errorOf(work({ key: 'a' }, { priority: 'high' })),
    await errorOf(client.service(urgent).note.send({ key: 'a' }, { priority: 'urgent' as 'high' })),
  ]
  expect(errors.map(({ code, message }) => [code, message])).toEqual([
    ['CONFIG', expect.stringContaining("method 'probe.work' has no priority")],
    ['CONFIG', expect.stringContaining("priority must be 'high' or 'normal'; got")],
  ])
  expect(() => client.service(probe, { priority: 'high' })).toThrow(/no method of 'probe' declares priority/)
  expect(wire.faults.events.of('publish')).toEqual([])
})
