import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import type { Client } from '../../../client/types.ts'
import { NonRetryableError } from '../../../worker/errors.ts'
import { allOf, createGate, eventually } from '../../support/eventually.ts'
import { claimsOf, type ConformanceCase } from '../case.ts'
import { queueRef, type CaseContext } from '../case-context.ts'
import { aborted, errorOf, unused, type Job } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim: claimOf } = claimsOf('kept results')
export const keptResults = cases

const claim = (sentence: string, run: ConformanceCase['run']): void => claimOf(sentence, run, { needs: 'maxKeepMs' })

const KEEP = { keepMs: 600_000 }
const job = type<Job>()

/** Two methods, so that an id may be of the other one; its call has an error of its own. */
const shop = defineService('probe', {
  methods: {
    charge: method({
      input: job,
      output: type<string>(),
      progress: type<number>(),
      errors: { EMPTY: type<{ readonly key: string }>() },
      retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 5 },
    }),
    refund: method({ input: job, output: type<string>() }),
    post: method({ input: job, output: type<string>(), keyed: true }),
    note: method({ input: job, oneWay: true }),
  },
})
const none = {
  charge: unused as () => string,
  refund: unused as () => string,
  post: unused as () => string,
  note: unused,
}
const queue = queueRef({ features: { keyed: true, priority: false, frames: false } })
const shopOf = (client: Client) => client.service(shop)
const echo = (t: CaseContext) => ({ ...none, charge: ({ key }: Job) => (t.ledger.enter(key), `${key} charged`) })

claim(
  'an outcome is read by its id, again and again, from any process, also after its caller has closed',
  async (t) => {
    const caller = t.client()
    const call = shopOf(caller).charge.start({ key: 'a' }, KEEP)
    await call.stored()
    await caller.close({ graceMs: 0 })
    expect(await call.outcome()).toMatchObject({ error: { code: 'CLOSED', executed: 'unknown' } })
    await t.serve(shop, echo(t))
    const other = t.client()
    const { charge } = shopOf(other)
    expect(await Promise.all([charge.attach(call.id), charge.attach(call.id)])).toEqual(['a charged', 'a charged'])
    expect(await charge.attach(call.id)).toBe('a charged')
    expect(await shopOf(t.client()).charge.attach(call.id)).toBe('a charged')
    expect(t.ledger.runs('a')).toBe(1)
  },
)

claim('so is one whose caller was cut off for good', async (t) => {
  const wire = t.wire()
  const call = shopOf(t.client({ wire })).charge.start({ key: 'a' }, KEEP)
  await call.stored()
  wire.faults.disconnect()
  await t.serve(shop, echo(t))
  expect(await shopOf(t.client()).charge.attach(call.id)).toBe('a charged')
})

claim('whoever attaches before the outcome waits for it, and sees the progress as the caller does', async (t) => {
  const [begun, go] = [createGate(), createGate()]
  await t.serve(shop, {
    ...none,
    async charge({ key }, ctx) {
      begun.open()
      await go.opened
      ctx.progress(1)
      ctx.progress(2)
      return key
    },
  })
  const call = shopOf(t.client()).charge.start({ key: 'a' }, KEEP)
  await begun.opened
  const attached = shopOf(t.client()).charge.attach(call.id)
  await attached.stored()
  expect([attached.id, attached.stage]).toEqual([call.id, 'queued'])
  go.open()
  const seen = await Promise.all([call, attached].map(({ progress }) => allOf(progress)))
  expect(seen).toEqual([
    [1, 2],
    [1, 2],
  ])
  expect(await Promise.all([call, attached])).toEqual(['a', 'a'])
})

claim('an outcome that comes while the reader is cut off is there when it is back', async (t) => {
  const [wire, go] = [t.wire(), createGate()]
  await t.serve(shop, { ...none, charge: async ({ key }) => (await go.opened, key) })
  const caller = t.client()
  const call = shopOf(caller).charge.start({ key: 'a' }, KEEP)
  await call.stored()
  const attached = shopOf(t.client({ wire })).charge.attach(call.id)
  await attached.stored()
  wire.faults.disconnect()
  go.open()
  await call
  expect(attached.stage).not.toBe('settled')
  await wire.faults.reconnect()
  expect(await attached).toBe('a')
})

claim('errors are kept like results: declared with their data, and those of the library', async (t) => {
  await t.serve(shop, {
    ...none,
    charge({ key }, ctx) {
      throw key === 'declared' ? ctx.fail('EMPTY', { key }) : new NonRetryableError('hopeless')
    },
  })
  const { charge } = shopOf(t.client())
  const declared = charge.start({ key: 'declared' }, KEEP)
  const hopeless = charge.start({ key: 'hopeless' }, KEEP)
  await Promise.all([declared.outcome(), hopeless.outcome()])
  const reader = shopOf(t.client()).charge
  const error = await errorOf(reader.attach(declared.id))
  expect(reader.isDeclaredError(error) && [error.code, error.data]).toEqual(['EMPTY', { key: 'declared' }])
  expect(await errorOf(reader.attach(hopeless.id))).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
})

claim('what was never kept, or no longer is, is NOT_KEPT', async (t) => {
  await t.serve(shop, echo(t))
  const { charge } = shopOf(t.client())
  const plain = charge.start({ key: 'a' })
  await plain
  for (const id of [plain.id, 'order-7'])
    expect(await errorOf(charge.attach(id))).toMatchObject({ code: 'NOT_KEPT', executed: 'unknown', callId: id })
  const short = charge.start({ key: 'b' }, { keepMs: 300, timeoutMs: 5_000 })
  await short
  await eventually(async () => (await charge.attach(short.id).outcome()).status === 'error')
  expect(await errorOf(charge.attach(short.id))).toMatchObject({ code: 'NOT_KEPT' })
})

claim('an id of another method is NOT_KEPT, and the error says whose it is', async (t) => {
  await t.serve(shop, { ...none, charge: ({ key }) => key })
  const stub = shopOf(t.client())
  const call = stub.charge.start({ key: 'a' }, KEEP)
  await call
  const error = await errorOf(stub.refund.attach(call.id))
  expect([error.code, error.message]).toEqual(['NOT_KEPT', expect.stringContaining('is a call of probe.charge')])
  expect(await errorOf(stub.refund.start({ key: 'a' }, { ...KEEP, id: call.id }))).toMatchObject({ code: 'NOT_KEPT' })
  expect(await stub.charge.attach(call.id)).toBe('a')
})

claim('who waits too long or no longer has its own end; the call goes on', async (t) => {
  const go = createGate()
  await t.serve(shop, { ...none, charge: async ({ key }) => (await go.opened, key) })
  const call = shopOf(t.client()).charge.start({ key: 'a' }, KEEP)
  await call.stored()
  const client = t.client()
  await client.ready() // a first connection may take longer than the call waits
  const { charge } = shopOf(client)
  expect(await errorOf(charge.attach(call.id, { timeoutMs: 100 }))).toMatchObject({
    code: 'TIMEOUT',
    executed: 'unknown',
  })
  const controller = new AbortController()
  const left = charge.attach(call.id, { signal: controller.signal })
  await left.stored()
  controller.abort()
  expect(await errorOf(left)).toMatchObject({ code: 'CANCELLED', executed: 'unknown' })
  go.open()
  expect([await call, await charge.attach(call.id)]).toEqual(['a', 'a'])
})

claim('to cancel an attached call cancels the call, waiting or running, and all who read it hear that', async (t) => {
  const stub = shopOf(t.client())
  const waiting = stub.charge.start({ key: 'waiting' }, KEEP)
  await waiting.stored()
  const reader = shopOf(t.client()).charge
  const attached = reader.attach(waiting.id)
  await attached.stored()
  attached.cancel('changed my mind')
  expect(await errorOf(attached)).toMatchObject({ code: 'CANCELLED' })
  expect(await errorOf(waiting)).toMatchObject({ code: 'CANCELLED' })
  expect(await errorOf(reader.attach(waiting.id))).toMatchObject({ code: 'CANCELLED' })

  let heard: unknown
  await t.serve(shop, {
    ...none,
    async charge({ key }, ctx) {
      t.ledger.enter(key)
      heard = await aborted(ctx.signal)
      throw new Error('aborted')
    },
  })
  const running = stub.charge.start({ key: 'running' }, KEEP)
  await eventually(() => t.ledger.runs('running') === 1)
  const second = reader.attach(running.id)
  await second.stored()
  second.cancel()
  expect(await errorOf(running)).toMatchObject({ code: 'CANCELLED' })
  expect(heard).toMatchObject({ code: 'CANCELLED' })
  await isEmpty(await t.adapter(), queue)
  // What cannot be removed may run; its mailbox keeps what everybody was told.
  expect(t.ledger.keys.filter((key) => key !== 'waiting' || t.capabilities.removesQueued)).toEqual(['running'])
  expect(await errorOf(reader.attach(waiting.id))).toMatchObject({ code: 'CANCELLED' })
})

claim(
  'a call that is given an id runs once, whoever starts it: later ones get its outcome without a publish',
  async (t) => {
    const go = createGate()
    const start = (stub: ReturnType<typeof shopOf>) => stub.charge.start({ key: 'a' }, { ...KEEP, id: 'order-7' })
    const [one, other] = [shopOf(t.client()), shopOf(t.client())]
    const calls = [start(one), start(one), start(other)]
    await t.serve(shop, {
      ...none,
      charge: async ({ key }) => (t.ledger.enter(key), await go.opened, `${key} charged`),
    })
    await eventually(() => t.ledger.runs('a') === 1)
    go.open()
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'a charged'))
    expect(calls.map(({ id }) => id)).toEqual(['order-7', 'order-7', 'order-7'])
    const wire = t.wire()
    const late = shopOf(t.client({ wire })).charge.start({ key: 'another input' }, { ...KEEP, id: 'order-7' })
    expect(await late).toBe('a charged')
    expect(wire.faults.events.of('publish')).toEqual([])
    await isEmpty(await t.adapter(), queue)
    expect(t.ledger.keys).toEqual(['a'])
  },
)

claim('a kept send is answered with its end, whatever was tried before, and is a dead letter as ever', async (t) => {
  await t.serve(shop, {
    ...none,
    charge({ key }, ctx) {
      t.ledger.enter(key)
      if (key === 'never' || ctx.attempt < 2) throw new Error('again')
      return `${key} at ${ctx.attempt}`
    },
  })
  const client = t.client()
  const good = await shopOf(client).charge.send({ key: 'later' }, { ...KEEP, id: 'order-8' })
  const bad = await shopOf(client).charge.send({ key: 'never' }, KEEP)
  const { charge } = shopOf(t.client())
  expect(good).toEqual({ id: 'order-8' })
  expect(await charge.attach('order-8')).toBe('later at 2')
  expect(await errorOf(charge.attach(bad.id))).toMatchObject({ code: 'HANDLER_FAILED', attempts: 3, executed: 'yes' })
  const letters = await allOf(client.queue(shop).deadLetters.list())
  expect(letters.map(({ id, attempts }) => [id, attempts])).toEqual([[bad.id, 3]])
  await isEmpty(await t.adapter(), queue)
})

claim('one that is delayed is attached to before it is due', async (t) => {
  const { charge } = shopOf(t.client())
  const delayed = await charge.send({ key: 'a' }, { ...KEEP, delayMs: 300 })
  const attached = charge.attach(delayed.id)
  await attached.stored()
  await t.serve(shop, echo(t))
  expect(await attached).toBe('a charged')
})

claim('what is kept while the broker is away is published when it is back', async (t) => {
  const wire = t.wire()
  const client = t.client({ wire })
  await client.ready()
  wire.faults.disconnect()
  const call = shopOf(client).charge.start({ key: 'a' }, KEEP)
  const given = shopOf(client).charge.start({ key: 'b' }, { ...KEEP, timeoutMs: 100 })
  expect(await errorOf(given)).toMatchObject({ executed: 'no', stage: 'outbox' })
  await wire.faults.reconnect()
  await t.serve(shop, echo(t))
  expect(await call).toBe('a charged')
  expect(await shopOf(t.client()).charge.attach(call.id)).toBe('a charged')
  expect(t.ledger.keys).toEqual(['a'])
})

claim('kept or not, calls of one key keep their order', async (t) => {
  const stub = shopOf(t.client())
  const numbers = Array.from({ length: 12 }, (_, n) => String(n))
  const calls = numbers.map((n) => stub.post.start({ key: n }, { key: 'a', ...(Number(n) % 2 === 0 ? KEEP : {}) }))
  await t.serve(shop, { ...none, post: ({ key }) => (t.ledger.enter(key), key) })
  expect(await Promise.all(calls)).toEqual(numbers)
  expect(t.ledger.entries).toEqual(numbers)
})

claim('a keepMs beyond what the broker keeps, an id without it and what is no id are CONFIG', async (t) => {
  const wire = t.wire()
  const stub = shopOf(t.client({ wire }))
  const input = { key: 'a' }
  const note = stub.note as unknown as typeof stub.charge
  const errors = [
    await errorOf(stub.charge.start(input, { keepMs: t.capabilities.maxKeepMs + 1 })),
    await errorOf(stub.charge.send(input, { keepMs: t.capabilities.maxKeepMs + 1 })),
    await errorOf(stub.charge.start(input, { keepMs: 0 })),
    await errorOf(stub.charge.start(input, { id: 'order-7' })),
    await errorOf(stub.charge.start(input, { keepMs: 1, id: 'order 7' })),
    await errorOf(stub.charge.attach('not/an/id')),
    await errorOf(note.send(input, { keepMs: 1 })),
  ]
  expect(errors.map(({ code, message }) => [code, message])).toEqual([
    ['CONFIG', expect.stringContaining(`keeps an outcome for at most ${t.capabilities.maxKeepMs} ms`)],
    ['CONFIG', expect.stringContaining(`keeps an outcome for at most ${t.capabilities.maxKeepMs} ms`)],
    ['CONFIG', expect.stringContaining('keepMs must be a whole number from 1')],
    ['CONFIG', expect.stringContaining('only together with keepMs')],
    ['CONFIG', expect.stringContaining('an id must be 1 to 64')],
    ['CONFIG', expect.stringContaining('an id must be 1 to 64')],
    ['CONFIG', expect.stringContaining('oneWay')],
  ])
  expect(wire.faults.events.of('publish')).toEqual([])
})
