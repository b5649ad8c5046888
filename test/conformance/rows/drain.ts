import { expect } from 'vitest'
import { connect } from '../../../broker-adapters/connect.ts'
import { createClient } from '../../../client/create-client.ts'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { createWorker } from '../../../worker/create-worker.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, probe, unused } from '../probe.ts'
import { isEmpty } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('drain')
export const drain = cases

claim('a worker that closes answers what runs, and others get what it had not begun', async (t) => {
  const go = createGate()
  const closing = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        await go.opened
        return `closing ${key}`
      },
    },
    { concurrency: 2, prefetch: 10 },
  )
  const stub = t.client().service(probe)
  const answers = new Map(['a', 'b', 'c', 'd'].map((key) => [key, stub.work({ key })]))
  await eventually(() => t.ledger.total === 2 && closing.health().queues[0]?.held === 2)
  const closed = closing.close()
  expect(closing.health().state).toBe('draining')
  await t.serve(probe, { note: unused, work: ({ key }) => `other ${key}` })
  const running = t.ledger.keys
  if (!t.capabilities.isPartitioned) expect(running).toEqual(['a', 'b'])
  const others = [...answers.keys()].filter((key) => !running.includes(key))
  const answersOf = (keys: readonly string[]) => Promise.all(keys.map(async (key) => answers.get(key)))
  expect(await answersOf(others)).toEqual(others.map((key) => `other ${key}`))
  go.open()
  expect(await answersOf(running)).toEqual(running.map((key) => `closing ${key}`))
  await closed
  expect(closing.health().state).toBe('closed')
  await isEmpty(await t.adapter(), queueRef())
})

claim('replies are stored and deliveries acked before it is closed', async (t) => {
  const wire = t.wire()
  const confirm = createGate()
  wire.faults.plans.reply = () => ({ outcome: 'stored', after: confirm.opened })
  const worker = await t.serve(probe, { note: unused, work: ({ key }) => key }, { wire })
  const answer = t.client().service(probe).work({ key: 'a' })
  await eventually(() => wire.faults.events.of('reply').length === 1)
  let isClosed = false
  const closed = worker.close().then(() => (isClosed = true))
  expect(await answer).toBe('a')
  expect(isClosed).toBe(false)
  confirm.open()
  await closed
  const kinds = wire.faults.events.all.map(({ kind }) => kind)
  expect(kinds.indexOf('ack')).toBeGreaterThan(kinds.indexOf('replyOutcome'))
  expect(kinds.indexOf('stop')).toBeGreaterThan(kinds.indexOf('ack'))
})

claim('nested calls of its handlers are still served', async (t) => {
  const inner = defineService('inner', { methods: { find: method({ output: type<string>() }) } })
  await t.serve(inner, { find: () => 'found' })
  const go = createGate()
  const nested = t.client()
  const worker = await t.serve(probe, {
    note: unused,
    async work({ key }) {
      t.ledger.enter(key)
      await go.opened
      return nested.service(inner).find()
    },
  })
  const answer = t.client().service(probe).work({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  const closed = worker.close()
  go.open()
  expect(await answer).toBe('found')
  await closed
})

claim('when the grace is over signals abort, and what still runs goes to others', async (t) => {
  let reason: unknown
  const never = createGate()
  const closing = await t.serve(probe, {
    note: unused,
    async work({ key }, ctx) {
      t.ledger.enter(key)
      if (key === 'obeys') {
        reason = await aborted(ctx.signal)
        throw reason
      }
      await never.opened
    },
  })
  const stub = t.client().service(probe)
  const answers = ['obeys', 'ignores'].map((key) => stub.work({ key }))
  await eventually(() => t.ledger.total === 2)
  await closing.close({ graceMs: 50 })
  expect(reason).toMatchObject({ code: 'CLOSED' })
  await t.serve(probe, { note: unused, work: ({ key }) => `other ${key}` })
  expect(await Promise.all(answers)).toEqual(['other obeys', 'other ignores'])
  never.open()
})

claim('closing twice is closing once, and a worker that never started closes', async (t) => {
  const worker = await t.serve(probe, { note: unused, work: unused })
  const closed = worker.close()
  expect(worker.close()).toBe(closed)
  await closed
  const idle = t.worker()
  await idle.close()
  expect(idle.health().state).toBe('closed')
})

claim('a shared broker that closes drains its workers, then its clients', async (t) => {
  const wire = t.wire()
  const broker = await connect(wire.target, { namespace: t.namespace })
  t.atEnd(() => broker.close({ graceMs: 0 }))
  const go = createGate()
  const own = createClient(broker)
  const inner = defineService('inner', { methods: { find: method({ output: type<string>() }) } })
  await t.serve(inner, { find: () => 'found' })
  const worker = createWorker(broker).serve(probe, {
    note: unused,
    async work({ key }) {
      t.ledger.enter(key)
      await go.opened
      return own.service(inner).find()
    },
  })
  await worker.start()
  const answer = t.client().service(probe).work({ key: 'a' })
  await eventually(() => t.ledger.runs('a') === 1)
  const closed = broker.close()
  go.open()
  expect(await answer).toBe('found')
  await closed
  expect(broker.state).toBe('closed')
  const kinds = wire.faults.events.all.map(({ kind }) => kind)
  expect(kinds.lastIndexOf('ack')).toBeLessThan(kinds.indexOf('closeInbox'))
  expect(kinds.indexOf('closeInbox')).toBeLessThan(kinds.indexOf('stop'))
})
