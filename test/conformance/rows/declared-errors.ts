import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { DeclaredError } from '../../../protocol/errors.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { declaring, errorOf, probe, unused } from '../probe.ts'
import { aNumber, aString, objectOf } from '../schemas.ts'

const { cases, claim } = claimsOf('declared errors')
export const declaredErrors = cases

claim('it arrives with its code and its data, was executed, and is not tried again', async (t) => {
  await t.serve(declaring, {
    note: unused,
    work({ key }, ctx) {
      t.ledger.enter(key)
      throw ctx.fail('NOT_FOUND', { path: '/ä' })
    },
  })
  const stub = t.client().service(declaring)
  const error = await errorOf(stub.work({ key: 'a' }))
  expect(error).toBeInstanceOf(DeclaredError)
  expect(stub.work.isDeclaredError(error)).toBe(true)
  expect(error).toMatchObject({
    code: 'NOT_FOUND',
    data: { path: '/ä' },
    executed: 'yes',
    retryable: false,
    attempts: 1,
  })
  expect(t.ledger.runs('a')).toBe(1)
})

claim('one without data works, and an outcome has it too', async (t) => {
  await t.serve(declaring, {
    note: unused,
    work(_, ctx) {
      throw ctx.fail('EMPTY')
    },
  })
  const outcome = await t.client().service(declaring).work.start({ key: 'a' }).outcome()
  expect(outcome).toMatchObject({ status: 'error', error: { code: 'EMPTY', executed: 'yes' } })
})

claim('its data goes through the schema: the caller gets what the schema makes of it', async (t) => {
  const dated = defineService('probe', {
    methods: {
      work: method({
        errors: { LATE: objectOf<{ at: string }, { at: Date }>({ at: (text) => new Date(aString(text)) }) },
      }),
    },
  })
  await t.serve(dated, {
    work(_, ctx) {
      throw ctx.fail('LATE', { at: '2026-01-02T03:04:05.000Z' })
    },
  })
  const error = await errorOf(t.client().service(dated).work())
  expect(error).toMatchObject({ code: 'LATE', data: { at: new Date('2026-01-02T03:04:05.000Z') } })
})

claim('data that does not fit is the failure of the handler, final, and the worker says what is wrong', async (t) => {
  const strict = defineService('probe', {
    methods: { work: method({ input: type<string>(), errors: { ODD: objectOf<{ n: number }>({ n: aNumber }) } }) },
  })
  await t.serve(strict, {
    work(_, ctx) {
      t.ledger.enter('a')
      throw ctx.fail('ODD', JSON.parse('{"n":"text"}'))
    },
  })
  const error = await errorOf(t.client().service(strict).work('x'))
  expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
  expect(t.lines.some(({ message }) => message.includes('ctx.fail') && message.includes('ODD'))).toBe(true)
  expect(t.ledger.runs('a')).toBe(1)
})

claim('that of a nested call is, to the outer caller, a handler that failed', async (t) => {
  const inner = defineService('inner', {
    methods: { find: method({ errors: { NOT_FOUND: type<{ path: string }>() } }) },
  })
  const nested = t.client()
  await t.serve(inner, {
    find(_, ctx) {
      throw ctx.fail('NOT_FOUND', { path: 'secret' })
    },
  })
  await t.serve(declaring, {
    note: unused,
    async work() {
      await nested.service(inner).find()
    },
  })
  const error = await errorOf(t.client().service(declaring).work({ key: 'a' }))
  expect(error.code).toBe('HANDLER_FAILED')
  expect(error.message).not.toContain('secret')
})

claim('made and not thrown is no failure, and the worker warns', async (t) => {
  await t.serve(declaring, {
    note: unused,
    work(_, ctx) {
      ctx.fail('NOT_FOUND', { path: 'x' })
      return 'fine'
    },
  })
  expect(await t.client().service(declaring).work({ key: 'a' })).toBe('fine')
  await eventually(() =>
    t.lines.some(({ code, message }) => code === 'FAIL_NOT_THROWN' && message.includes('NOT_FOUND')),
  )
})

claim('a caller whose contract does not know it gets HANDLER_FAILED with the code in its text', async (t) => {
  await t.serve(declaring, {
    note: unused,
    work(_, ctx) {
      throw ctx.fail('NOT_FOUND', { path: 'x' })
    },
  })
  const client = t.client()
  const error = await errorOf(client.service(probe).work({ key: 'a' }))
  expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
  expect(error.message).toContain('NOT_FOUND')
  expect(await allOf(client.queue(probe).deadLetters.list())).toEqual([])
})
