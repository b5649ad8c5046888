import { expect } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { areReady, collectDeliveries } from '../seam/collect-deliveries.ts'
import { errorOf, probe, stubborn, unused } from '../probe.ts'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'

const { cases, claim } = claimsOf('honest errors')
export const honestErrors = cases

/** The queue of `probe`, but a method that its worker does not have. */
const other = defineService('probe', { methods: { unheard: method({ input: type<unknown>() }) } })

/** Within it a busy machine has made a queue and an inbox. */
const LIMIT_MS = 2_000

claim('what was proved not to be sent until the deadline is no', async (t) => {
  const wire = t.wire()
  wire.faults.plans.publish = () => ({ outcome: 'notSent' })
  await t.serve(probe, { note: unused, work: ({ key }) => t.ledger.enter(key) })
  const error = await errorOf(t.client({ wire }).service(probe).work({ key: 'a' }, { timeoutMs: LIMIT_MS }))
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'no', stage: 'outbox' })
  expect(t.ledger.total).toBe(0)
})

claim('what nobody knows is unknown, stored or not', async (t) => {
  for (const isStored of [true, false]) {
    const wire = t.wire()
    wire.faults.plans.publish = () => ({ outcome: 'unknown', isStored })
    const error = await errorOf(t.client({ wire }).service(probe).work({ key: 'a' }, { timeoutMs: LIMIT_MS }))
    expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', stage: 'outbox' })
  }
})

claim('what waits in the queue at its deadline is unknown, and its stage is queued', async (t) => {
  const error = await errorOf(t.client().service(probe).work({ key: 'a' }, { timeoutMs: LIMIT_MS }))
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', stage: 'queued' })
})

claim(
  'a refusal by the broker is BROKER_REFUSED and unknown: a nack does not prove that nothing is stored',
  async (t) => {
    const wire = t.wire()
    wire.faults.plans.publish = () => ({ outcome: 'refused' })
    const stub = t.client({ wire }).service(probe)
    const errors = [await errorOf(stub.work({ key: 'a' })), await errorOf(stub.note.send({ key: 'b' }))]
    for (const error of errors) expect(error).toMatchObject({ code: 'BROKER_REFUSED', executed: 'unknown' })
  },
)

claim('a queue that cannot be reached, and a message too large for the broker, are no', async (t) => {
  const wire = t.wire()
  const stub = t.client({ wire }).service(probe)
  wire.faults.plans.publish = () => ({ outcome: 'unroutable' })
  expect(await errorOf(stub.work({ key: 'a' }))).toMatchObject({ code: 'BROKER_REFUSED', executed: 'no' })
  wire.faults.plans.publish = () => ({ outcome: 'tooLarge' })
  expect(await errorOf(stub.work({ key: 'b' }))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'no' })
})

claim('a handler that threw is yes, and says nothing of what it threw', async (t) => {
  await t.serve(probe, {
    note: unused,
    work() {
      throw new Error('the password is 1234')
    },
  })
  const error = await errorOf(t.client().service(probe).work({ key: 'a' }))
  expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes', stage: 'running', attempts: 1 })
  expect(`${error.message} ${error.stack ?? ''} ${JSON.stringify(error)}`).not.toContain('1234')
  expect(t.lines.filter(({ code }) => code === 'HANDLER_FAILED').map(({ message }) => message)).toEqual([
    expect.stringContaining('1234'),
  ])
})

claim(
  'a worker that refuses a first delivery proves no',
  async (t) => {
    await t.serve(probe, { note: unused, work: unused })
    const error = await errorOf(t.client().service(other).unheard('x', { timeoutMs: 5_000 }))
    expect(error).toMatchObject({ code: 'UNKNOWN_METHOD', executed: 'no', stage: 'running' })
  },
  { needs: 'provesFirstDelivery' },
)

claim('a worker that refuses a copy that somebody else had before proves nothing', async (t) => {
  const [adapter, looking] = [await t.adapter(), await t.adapter()]
  const call = t.client().service(other).unheard.start('x')
  await call.stored()
  await (await collectDeliveries(adapter, queueRef())).at(0)
  await adapter.stop()
  await areReady(looking, queueRef(), 1)
  await t.serve(probe, { note: unused, work: unused })
  expect(await call.outcome()).toMatchObject({ error: { code: 'UNKNOWN_METHOD', executed: 'unknown' } })
})

claim('a worker that refuses a copy that was sent again proves nothing', async (t) => {
  const wire = t.wire()
  let published = 0
  wire.faults.plans.publish = () => (++published === 1 ? { outcome: 'unknown', isStored: false } : undefined)
  await t.serve(probe, { note: unused, work: unused })
  const resent = await errorOf(t.client({ wire }).service(other).unheard('x', { timeoutMs: 5_000 }))
  expect(resent).toMatchObject({ code: 'UNKNOWN_METHOD', executed: 'unknown' })
})

claim('every error names method, queue, call, attempts and how long it took', async (t) => {
  await t.serve(stubborn, {
    note: unused,
    work() {
      throw new Error('no')
    },
  })
  const stub = t.client().service(stubborn)
  const call = stub.work.start({ key: 'a' })
  const error = await errorOf(call.then(() => {}))
  const queue = `${t.namespace}.q.default.probe.v1`
  expect(error).toMatchObject({ service: 'probe', method: 'work', queue, callId: call.id, attempts: 3 })
  expect(error.elapsedMs).toBeGreaterThanOrEqual(0)
  for (const part of ['[HANDLER_FAILED]', 'probe.work', queue, call.id, 'attempts 3', 'executed: yes'])
    expect(error.message).toContain(part)
  const timeout = await errorOf(
    t.client().service(probe, { group: 'nobody' }).work({ key: 'b' }, { timeoutMs: LIMIT_MS }),
  )
  for (const part of ['[TIMEOUT]', 'probe.work', 'group nobody', timeout.callId])
    expect(timeout.message).toContain(part)
})

claim('a send that was not confirmed in time is unknown, and may run all the same', async (t) => {
  const wire = t.wire()
  wire.faults.plans.publish = () => ({ outcome: 'stored', after: new Promise(() => {}) })
  const error = await errorOf(t.client({ wire }).service(probe).note.send({ key: 'a' }, { timeoutMs: LIMIT_MS }))
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown', stage: 'outbox' })
  const adapter = await t.adapter()
  await adapter.declare(queueRef())
  expect((await adapter.stats(queueRef())).ready).toBe(1)
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  await eventually(() => t.ledger.runs('a') === 1)
})
