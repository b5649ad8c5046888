import { expect } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { probe, unused } from '../probe.ts'

const { cases, claim } = claimsOf('durable')
export const durable = cases

claim('send resolves only when the broker has confirmed, even if it was run before', async (t) => {
  const confirm = createGate()
  const wire = t.wire()
  wire.faults.plans.publish = () => ({ outcome: 'stored', after: confirm.opened })
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.finish(key) })
  let isSent = false
  const sent = t
    .client({ wire })
    .service(probe)
    .note.send({ key: 'a' })
    .then(() => (isSent = true))
  await eventually(() => t.ledger.finished('a') === 1)
  expect(isSent).toBe(false)
  confirm.open()
  await sent
})

claim('a call counts as queued only when the broker has confirmed', async (t) => {
  const confirm = createGate()
  const wire = t.wire()
  wire.faults.plans.publish = () => ({ outcome: 'stored', after: confirm.opened })
  const call = t.client({ wire }).service(probe).work.start({ key: 'a' }, { timeoutMs: 60_000 })
  await eventually(() => wire.faults.events.of('publish', call.id).length === 1)
  expect(call.stage).toBe('outbox')
  confirm.open()
  await call.stored()
  expect(call.stage).toBe('queued')
  call.cancel()
  await call.outcome()
})

claim('what was sent outlives its sender: it runs when a worker comes', async (t) => {
  const client = t.client()
  await client.service(probe).note.send({ key: 'a' })
  await client.close()
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  await eventually(() => t.ledger.runs('a') === 1)
})

claim('of three hundred sends, each that was confirmed runs, and each once', async (t) => {
  const client = t.client()
  const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
  const { stored, failed } = await client.service(probe).note.sendMany(keys.map((key) => ({ key })))
  expect({ stored, failed }).toEqual({ stored: 300, failed: [] })
  await client.close()
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  await eventually(() => t.ledger.total >= 300)
  expect(t.ledger.entries.toSorted()).toEqual(keys.toSorted())
})

claim('a delayed send is stored at once and runs later', async (t) => {
  const client = t.client()
  const sentAt = Date.now()
  await client.service(probe).note.send({ key: 'later' }, { delayMs: 400 })
  await client.close()
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  await eventually(() => t.ledger.runs('later') === 1)
  expect(Date.now() - sentAt).toBeGreaterThanOrEqual(380)
})
