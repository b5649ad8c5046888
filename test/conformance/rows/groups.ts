import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method } from '../../../contract/method.ts'
import { type } from '../../../contract/method.ts'
import { claimsOf } from '../case.ts'
import { errorOf, probe, unused } from '../probe.ts'
import { createGate, eventually } from '../../support/eventually.ts'

const { cases, claim } = claimsOf('groups')
export const groups = cases

claim('a call goes to the workers of its group only', async (t) => {
  await t.serve(probe, { note: unused, work: () => 'default' })
  await t.serve(probe, { note: unused, work: () => 'gpu' }, { group: 'gpu' })
  const client = t.client()
  expect(await client.service(probe).work({ key: 'a' })).toBe('default')
  expect(await client.service(probe, { group: 'gpu' }).work({ key: 'a' })).toBe('gpu')
})

claim('workers of one group compete: each call runs in one of them', async (t) => {
  const go = createGate()
  const workers = ['one', 'other'].map((name) =>
    t.serve(
      probe,
      {
        note: unused,
        async work({ key }) {
          t.ledger.enter(`${name} ${key}`)
          t.ledger.enter(key)
          await go.opened
          return name
        },
      },
      { concurrency: 10, prefetch: 10 },
    ),
  )
  await Promise.all(workers)
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`)
  const stub = t.client().service(probe)
  const answers = keys.map((key) => stub.work({ key }))
  await eventually(() => t.ledger.total === 40)
  go.open()
  const names = await Promise.all(answers)
  expect(names.filter((name) => name === 'one')).toHaveLength(10)
  for (const key of keys) expect(t.ledger.runs(key)).toBe(1)
})

claim('a major version has a queue of its own; so has a minor one below 1.0', async (t) => {
  const version = (of: string) =>
    defineService('probe', { version: of, methods: { work: method({ output: type<string>() }) } })
  for (const of of ['1.0.0', '2.3.4', '0.1.0', '0.2.0']) await t.serve(version(of), { work: () => of })
  const client = t.client()
  const asked = ['1.9.9', '2.0.0', '0.1.7', '0.2.1']
  expect(await Promise.all(asked.map((of) => client.service(version(of)).work()))).toEqual([
    '1.0.0',
    '2.3.4',
    '0.1.0',
    '0.2.0',
  ])
})

claim('one worker serves several services, each from its own queue', async (t) => {
  const other = defineService('other', { methods: { work: method({ output: type<string>() }) } })
  await t
    .worker()
    .serve(probe, { note: unused, work: () => 'probe' })
    .serve(other, { work: () => 'other' })
    .start()
  const client = t.client()
  expect(await client.service(probe).work({ key: 'a' })).toBe('probe')
  expect(await client.service(other).work()).toBe('other')
})

claim('another namespace is another world', async (t) => {
  await t.serve(probe, { note: unused, work: () => 'mine' })
  const foreign = t.client({ namespace: `${t.namespace}x` })
  expect((await errorOf(foreign.service(probe).work({ key: 'a' }, { timeoutMs: 800 }))).code).toBe('TIMEOUT')
  expect(await t.client().service(probe).work({ key: 'a' })).toBe('mine')
})
