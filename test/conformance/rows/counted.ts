import { expect } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { claimsOf, invariant } from '../case.ts'
import { queueRef, replyOf } from '../case-context.ts'
import { callOf, probe, unused } from '../probe.ts'
import { collectDeliveries, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('counted')

claim('a client counts time-outs, late answers and what it sent again', async (t) => {
  const wire = t.wire()
  wire.faults.plans.incoming = () => 'hold'
  let published = 0
  wire.faults.plans.publish = () => (++published === 1 ? { outcome: 'notSent' } : undefined)
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  const client = t.client({ wire })
  await client.service(probe).work.start({ key: 'a' }, { timeoutMs: 4_000 }).outcome()
  wire.faults.letRepliesIn()
  await eventually(() => client.counters['lateReplies'] === 1)
  expect(client.counters).toMatchObject({ timeouts: 1, lateReplies: 1 })
})

claim('a worker counts what it completed, failed, expired and found invalid', async (t) => {
  const worker = await t.serve(probe, {
    note: unused,
    work({ key }) {
      if (key === 'fails') throw new Error('no')
      return key
    },
  })
  const stub = t.client().service(probe)
  await stub.work({ key: 'a' })
  await stub.work.start({ key: 'fails' }).outcome()
  const adapter = await t.adapter()
  await publishAll(adapter, queueRef(), [
    callOf({ key: 'late' }, { headers: { 'rt-deadline': '1' } }),
    callOf({ key: 'bad' }, { body: Uint8Array.of(0xff) }),
  ])
  await eventually(() => worker.counters['invalidMessages'] === 1 && worker.counters['expired'] === 1)
  expect(worker.counters).toMatchObject({ completed: 1, expired: 1, invalidMessages: 1 })
})

claim('a reply address that is not of the namespace gets nothing, and is counted', async (t) => {
  const worker = await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
  const adapter = await t.adapter()
  const foreign = await t.adapter({ namespace: `${t.namespace}x` })
  let replies = 0
  const { address } = await foreign.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, () => void replies++)
  await publishAll(adapter, queueRef(), [callOf({ key: 'a' }, { replyTo: address })])
  await eventually(() => worker.counters['completed'] === 1)
  expect(worker.counters['refusedReplyAddress']).toBe(1)
  expect(replies).toBe(0)
})

export const counted = [
  ...cases,

  invariant('a reply nobody waits for is counted, not thrown', async (t) => {
    const adapter = await t.adapter()
    const client = t.client()
    const call = client.service(probe).work.start({ key: 'a' }, { timeoutMs: 60_000 })
    await call.stored()
    const got = await collectDeliveries(adapter, queueRef())
    const { message } = await got.at(0)
    const address = message.replyTo ?? ''
    const nobodys = [
      replyOf('foreign-call'),
      replyOf('__proto__'),
      replyOf('', { type: 'error' }),
      replyOf('other', { type: 'progress', body: Uint8Array.of(0xff, 0x00) }),
      replyOf('stranger', { type: 'end', contentType: 'text/plain', headers: { 'rt-attempt': 'many' } }),
    ]
    expect(await adapter.reply(address, nobodys)).toEqual(nobodys.map(() => 'stored'))
    await adapter.reply(address, [replyOf(call.id), replyOf(call.id), replyOf(call.id, { type: 'progress' })])
    expect(await call.outcome()).toMatchObject({ status: 'ok' })
    await eventually(() => (client.counters['lateReplies'] ?? 0) === 2)
    expect(client.counters['foreignReplies']).toBe(nobodys.length)
  }),
]
