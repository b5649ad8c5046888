import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { ReplytoError } from '../../../protocol/errors.ts'
import { eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { aborted, errorOf, probe, unused } from '../probe.ts'

const { cases, claim } = claimsOf('nested')
export const nested = cases

const inner = defineService('inner', {
  methods: {
    find: method({ input: type<string>(), output: type<unknown>() }),
    log: method({ input: type<string>(), oneWay: true }),
  },
})

claim('a nested call ends no later than the call around it', async (t) => {
  const deadlines: number[] = []
  const inside = t.client()
  await t.serve(inner, { log: unused, find: (_, ctx) => void deadlines.push(ctx.deadline) })
  await t.serve(probe, {
    note: unused,
    async work(_, ctx) {
      deadlines.push(ctx.deadline)
      await inside.service(inner).find('x', { timeoutMs: 60_000 })
      await inside.service(inner).find('y', { timeoutMs: 1_000 })
    },
  })
  await t.client().service(probe).work({ key: 'a' }, { timeoutMs: 5_000 })
  const [outer = 0, long = 0, short = 0] = deadlines
  expect(long).toBeLessThanOrEqual(outer)
  expect(short).toBeLessThan(outer)
})

claim('a nested call aborts with the call around it, through all levels', async (t) => {
  const inside = t.client()
  let heard: unknown
  await t.serve(inner, {
    log: unused,
    async find(key, ctx) {
      t.ledger.enter(key)
      heard = await aborted(ctx.signal)
    },
  })
  await t.serve(probe, { note: unused, work: () => inside.service(inner).find('x') })
  const call = t.client().service(probe).work.start({ key: 'a' })
  await eventually(() => t.ledger.runs('x') === 1)
  call.cancel()
  expect(await call.outcome()).toMatchObject({ error: { code: 'CANCELLED' } })
  await eventually(() => heard !== undefined)
})

claim('a send inside a handler inherits nothing: it runs after the call has failed', async (t) => {
  const inside = t.client()
  await t.serve(inner, { find: unused, log: (key) => t.ledger.enter(key) })
  await t.serve(probe, {
    note: unused,
    async work() {
      await inside.service(inner).log.send('x', { delayMs: 300 })
      throw new Error('failed')
    },
  })
  await errorOf(t.client().service(probe).work({ key: 'a' }, { timeoutMs: 5_000 }))
  await eventually(() => t.ledger.runs('x') === 1)
})

claim('a full pool that calls its own queue waits until the deadline, and the TIMEOUT says why', async (t) => {
  const inside = t.client()
  let text = ''
  await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        if (key === 'inner') return 'never'
        try {
          return await inside.service(probe).work({ key: 'inner' }, { timeoutMs: 250 })
        } catch (error) {
          text = error instanceof ReplytoError ? error.message : ''
          return 'told'
        }
      },
    },
    { concurrency: 1 },
  )
  expect(await t.client().service(probe).work({ key: 'outer' })).toBe('told')
  expect(text).toContain('[TIMEOUT]')
  expect(text).toContain('inside a handler of the same queue')
})

claim('calls that nest without end are refused: OVERLOADED', async (t) => {
  const inside = t.client()
  let deepest = 0
  let code = ''
  await t.serve(
    probe,
    {
      note: unused,
      async work({ value }) {
        const depth = Number(value)
        deepest = Math.max(deepest, depth)
        try {
          await inside.service(probe).work({ key: 'again', value: depth + 1 })
        } catch (error) {
          if (code === '' && error instanceof ReplytoError) code = error.code
          throw error
        }
      },
    },
    { concurrency: 50 },
  )
  const error = await errorOf(t.client().service(probe).work({ key: 'outer', value: 0 }))
  expect(error.code).toBe('HANDLER_FAILED')
  expect([deepest, code]).toEqual([32, 'OVERLOADED'])
})
