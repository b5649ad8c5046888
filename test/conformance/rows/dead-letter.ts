import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { NonRetryableError } from '../../../worker/errors.ts'
import type { Client, DeadLetter } from '../../../client/types.ts'
import { allOf, createGate, eventually } from '../../support/eventually.ts'
import type { HandlerContext, Handlers } from '../../../worker/types.ts'
import { claimsOf } from '../case.ts'
import { aNumber, objectOf } from '../schemas.ts'
import { queueRef, type CaseContext } from '../case-context.ts'
import { declaring, errorOf, probe, stubborn, unused, type Job } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

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

/** Fails until it is mended. */
function createPatient(t: CaseContext) {
  let isMended = false
  const seen: { readonly id: string; readonly attempt: number; readonly remainingMs: number }[] = []
  const run = ({ key }: Job, ctx: HandlerContext<{}, number> | HandlerContext): string => {
    t.ledger.enter(key)
    seen.push({ id: ctx.callId, attempt: ctx.attempt, remainingMs: ctx.remainingMs() })
    if (!isMended) throw new Error('not yet')
    return `${key} mended`
  }
  const handlers: Handlers<typeof stubborn> = { work: run, note: (input, ctx) => void run(input, ctx) }
  return { seen, handlers, mend: () => void (isMended = true) }
}

claim('a replayed letter is a new generation of the same send: its id, attempt 1, and no duplicate', async (t) => {
  const patient = createPatient(t)
  const worker = await t.serve(stubborn, patient.handlers)
  const client = t.client()
  const { id } = await client.service(stubborn).note.send({ key: 'a' })
  await firstLetter(client)
  const { deadLetters } = client.queue(probe)
  expect(await deadLetters.replay({ id: 'somebody-else' })).toEqual({ count: 0 })
  expect(await deadLetters.replay({ id })).toEqual({ count: 1 })
  // It fails again, is tried as often as before, and kept again.
  await eventually(() => patient.seen.length === 6)
  expect(await firstLetter(client)).toMatchObject({ id, attempts: 3 })
  patient.mend()
  expect(await deadLetters.replay({})).toEqual({ count: 1 })
  await eventually(() => patient.seen.length === 7)
  await isEmpty(await t.adapter(), queueRef())
  expect(patient.seen.map((seen) => seen.id)).toEqual(patient.seen.map(() => id))
  expect(patient.seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1, 2, 3, 1])
  expect(await lettersOf(client)).toEqual([])
  expect(worker.counters['duplicates']).toBeUndefined()
})

claim(
  'a replayed call has no deadline and is tried like a send; its late answer is counted by who had waited',
  async (t) => {
    const once = defineService('probe', {
      methods: { work: method({ input: type<Job>(), output: type<string>(), retry: { attempts: 2, minDelayMs: 1 } }) },
    })
    const patient = createPatient(t)
    await t.serve(once, { work: patient.handlers.work as (input: Job, ctx: HandlerContext) => string })
    const client = t.client()
    const call = client.service(once).work.start({ key: 'a' }, { timeoutMs: 1_000 })
    expect(await call.outcome()).toMatchObject({ error: { code: 'HANDLER_FAILED', attempts: 2 } })
    await firstLetter(client)
    patient.mend()
    await client.queue(probe).deadLetters.replay({})
    await eventually(() => client.counters['lateReplies'] === 1)
    expect(patient.seen.map(({ attempt }) => attempt)).toEqual([1, 2, 1])
    expect(patient.seen[2]?.remainingMs).toBeGreaterThan(1_000)
    await isEmpty(await t.adapter(), queueRef())
  },
)

claim(
  'a letter that is replayed while its call is still being answered runs all the same, in the same worker',
  async (t) => {
    const [wire, go] = [t.wire(), createGate()]
    wire.faults.plans.reply = ({ headers }) =>
      headers['rt-replay'] === undefined ? { outcome: 'stored', after: go.opened } : undefined
    const patient = createPatient(t)
    const worker = await t.serve(stubborn, patient.handlers, { wire })
    const client = t.client()
    const call = client.service(stubborn).work.start({ key: 'a' })
    await firstLetter(client)
    patient.mend()
    // A broker may leave it until its call is over there.
    await eventually(async () => (await client.queue(probe).deadLetters.replay({})).count === 1)
    await eventually(() => patient.seen.length === 4)
    go.open()
    await isEmpty(await t.adapter(), queueRef())
    expect(worker.counters['duplicates']).toBeUndefined()
    expect((await call.outcome()).status).toBe('error')
  },
)

claim(
  'a replayed letter answers the kept mailbox in place of the failure',
  async (t) => {
    const patient = createPatient(t)
    await t.serve(stubborn, patient.handlers)
    const client = t.client()
    const { work } = client.service(stubborn)
    const { id } = await work.send({ key: 'a' }, { keepMs: 600_000 })
    expect(await errorOf(work.attach(id))).toMatchObject({ code: 'HANDLER_FAILED', attempts: 3 })
    patient.mend()
    expect(await client.queue(probe).deadLetters.replay({ id })).toEqual({ count: 1 })
    await eventually(async () => (await work.attach(id).outcome()).status === 'ok')
    expect(await client.service(stubborn).work.attach(id)).toBe('a mended')
  },
  { needs: 'maxKeepMs' },
)
