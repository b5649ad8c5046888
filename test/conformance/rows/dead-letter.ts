import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { NonRetryableError } from '../../../worker/errors.ts'
import type { Client, DeadLetter } from '../../../client/types.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { declaring, errorOf, probe, stubborn, unused } from '../probe.ts'
import { aNumber, objectOf } from '../schemas.ts'

const { cases, claim } = claimsOf('dead letter')
export const deadLetter = cases

const lettersOf = (client: Client): Promise<DeadLetter[]> => allOf(client.queue(probe).deadLetters.list())

async function firstLetter(client: Client): Promise<DeadLetter> {
  return eventually(async () => (await lettersOf(client))[0])
}

claim('a send that failed finally is kept with its reason, each attempt and their number', async (t) => {
  await t.serve(stubborn, {
    work: unused,
    note(_, ctx) {
      throw new Error(`broken the ${ctx.attempt}. time`)
    },
  })
  const client = t.client()
  const { id } = await client.service(stubborn).note.send({ key: 'a' })
  const letter = await firstLetter(client)
  expect(letter).toMatchObject({ id, method: 'note', attempts: 3, error: { code: 'HANDLER_FAILED' } })
  for (const text of ['attempt 1: ', 'broken the 1. time', 'broken the 2. time', 'broken the 3. time'])
    expect(letter.reason).toContain(text)
  expect(letter.reason).not.toContain('\n')
  expect(await client.queue(probe).stats()).toMatchObject({ ready: 0, dead: 1 })
})

claim('so is a send that failed at once: hopeless, input refused, unknown method', async (t) => {
  const strict = defineService('probe', {
    methods: { note: method({ input: objectOf<{ n: number }>({ n: aNumber }), oneWay: true, retry: { attempts: 2 } }) },
  })
  const loose = defineService('probe', {
    methods: {
      note: method({ input: type<unknown>(), oneWay: true }),
      unheard: method({ input: type<unknown>(), oneWay: true }),
    },
  })
  await t.serve(strict, {
    note() {
      throw new NonRetryableError('hopeless')
    },
  })
  const client = t.client()
  const stub = client.service(loose)
  const ids = [
    (await stub.note.send({ n: 1 })).id,
    (await stub.note.send({ n: 'text' })).id,
    (await stub.unheard.send('x')).id,
  ]
  await eventually(async () => (await lettersOf(client)).length === 3)
  const letters = new Map((await lettersOf(client)).map((letter) => [letter.id, letter]))
  expect(ids.map((id) => letters.get(id)?.error.code)).toEqual(['HANDLER_FAILED', 'INVALID_INPUT', 'UNKNOWN_METHOD'])
  expect(ids.map((id) => letters.get(id)?.attempts)).toEqual([1, 1, 1])
})

claim('a call that used up the attempts which its contract asked for is kept, and answered', async (t) => {
  await t.serve(stubborn, {
    note: unused,
    work() {
      throw new Error('never')
    },
  })
  const client = t.client()
  const call = client.service(stubborn).work.start({ key: 'a' })
  expect(await call.outcome()).toMatchObject({ error: { code: 'HANDLER_FAILED', attempts: 3 } })
  expect(await firstLetter(client)).toMatchObject({ id: call.id, method: 'work', attempts: 3 })
})

claim('a call that somebody waits for is answered and not kept: one attempt, declared, refused, unknown', async (t) => {
  const newer = defineService('probe', { methods: { unheard: method({}) } })
  await t.serve(declaring, {
    note: unused,
    work({ key }, ctx) {
      if (key === 'declared') throw ctx.fail('NOT_FOUND', { path: key })
      throw new NonRetryableError('hopeless')
    },
  })
  const client = t.client()
  const codes = [
    await errorOf(client.service(declaring).work({ key: 'declared' })),
    await errorOf(client.service(declaring).work({ key: 'hopeless' })),
    await errorOf(client.service(newer).unheard()),
  ].map(({ code }) => code)
  expect(codes).toEqual(['NOT_FOUND', 'HANDLER_FAILED', 'UNKNOWN_METHOD'])
  expect(await lettersOf(client)).toEqual([])
})

claim('expired and cancelled calls are not kept', async (t) => {
  const client = t.client()
  const expired = client.service(probe).work.start({ key: 'a' }, { timeoutMs: 100 })
  const cancelled = client.service(probe).work.start({ key: 'b' })
  await cancelled.stored()
  cancelled.cancel()
  await Promise.all([expired.outcome(), cancelled.outcome()])
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  expect(await client.service(probe).work({ key: 'c' })).toBe('c')
  expect(await lettersOf(client)).toEqual([])
})

claim('the admin lists by filter and purges', async (t) => {
  const worker = await t.serve(stubborn, {
    work: unused,
    note() {
      throw new NonRetryableError('hopeless')
    },
  })
  const client = t.client()
  const stub = client.service(stubborn)
  const sent = await Promise.all(['a', 'b', 'c'].map((key) => stub.note.send({ key })))
  await eventually(() => worker.counters['deadLettered'] === 3)
  const { deadLetters } = client.queue(probe)
  const first = sent[0]?.id ?? ''
  expect((await allOf(deadLetters.list({ id: first }))).map(({ id }) => id)).toEqual([first])
  expect(await allOf(deadLetters.list({ method: 'work' }))).toEqual([])
  expect(await deadLetters.purge({ id: first })).toEqual({ count: 1 })
  expect(await deadLetters.purge({})).toEqual({ count: 2 })
  expect(await allOf(deadLetters.list())).toEqual([])
})
