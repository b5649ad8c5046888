import { expect } from 'vitest'
import type { Reply } from '../../../protocol/message.ts'
import { claimsOf } from '../case.ts'
import { replyOf, type StartedAdapter } from '../case-context.ts'
import { eventually } from '../../support/eventually.ts'

const { cases, claim } = claimsOf('seam inbox')
export const inbox = cases

interface OpenInbox {
  readonly address: string
  readonly replies: readonly Reply[]
  close(): Promise<void>
}

async function openInbox(adapter: StartedAdapter, leaseMs = 60_000): Promise<OpenInbox> {
  const replies: Reply[] = []
  const opened = await adapter.openInbox({ leaseMs, onRecreated: () => {} }, (reply, done) => {
    replies.push(reply)
    done()
  })
  return { address: opened.address, replies, close: () => opened.close() }
}

claim('its address begins with the namespace, and each inbox has one of its own', async (t) => {
  const adapters = [await t.adapter(), await t.adapter()]
  const opened = await Promise.all([...adapters, ...adapters].map((adapter) => openInbox(adapter)))
  for (const { address } of opened) expect(address.startsWith(`${t.namespace}.`)).toBe(true)
  expect(new Set(opened.map(({ address }) => address)).size).toBe(4)
})

claim('a reply arrives as it was sent, from another connection', async (t) => {
  const [caller, worker] = [await t.adapter(), await t.adapter()]
  const { address, replies } = await openInbox(caller)
  const reply = replyOf('call-1', {
    type: 'error',
    contentType: 'application/json',
    headers: { 'rt-attempt': '2', 'x-ä': 'grüße\n' },
    body: Uint8Array.from({ length: 256 }, (_, byte) => byte),
  })
  expect(await worker.reply(address, [reply])).toEqual(['stored'])
  const got = await eventually(() => replies[0])
  expect({ ...got, headers: { ...got.headers }, body: [...got.body] }).toEqual({ ...reply, body: [...reply.body] })
})

claim('replies of one connection come in order, each once, and each has its outcome', async (t) => {
  const [caller, worker] = [await t.adapter(), await t.adapter()]
  const { address, replies } = await openInbox(caller)
  const sent = Array.from({ length: 200 }, (_, index) =>
    replyOf(`call-${index}`, { type: index % 3 === 0 ? 'progress' : 'result' }),
  )
  const outcomes = await Promise.all([worker.reply(address, sent.slice(0, 90)), worker.reply(address, sent.slice(90))])
  expect(outcomes.flat()).toEqual(sent.map(() => 'stored'))
  await eventually(() => replies.length >= 200)
  expect(replies.map(({ correlationId }) => correlationId)).toEqual(sent.map(({ correlationId }) => correlationId))
})

claim('a large and an empty body go through', async (t) => {
  const adapter = await t.adapter()
  const { address, replies } = await openInbox(adapter)
  const large = Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 253)
  await adapter.reply(address, [replyOf('large', { body: large }), replyOf('empty', { body: new Uint8Array(0) })])
  await eventually(() => replies.length === 2)
  expect(Buffer.from(replies[0]?.body ?? []).equals(large)).toBe(true)
  expect(replies[1]?.body).toHaveLength(0)
})

claim('a reader of one inbox sees nothing of another', async (t) => {
  const [one, other] = [await t.adapter(), await t.adapter()]
  const first = await openInbox(one)
  const second = await openInbox(other)
  await one.reply(second.address, [replyOf('for-second')])
  await other.reply(first.address, [replyOf('for-first')])
  await eventually(() => first.replies.length + second.replies.length === 2)
  expect(first.replies[0]?.correlationId).toBe('for-first')
  expect(second.replies[0]?.correlationId).toBe('for-second')
})

claim(
  'an inbox that was closed, or never was, is gone',
  async (t) => {
    const [caller, worker] = [await t.adapter(), await t.adapter()]
    const opened = await openInbox(caller)
    await opened.close()
    expect(await worker.reply(opened.address, [replyOf('late'), replyOf('later')])).toEqual(['gone', 'gone'])
    expect(await worker.reply(`${opened.address}9999`, [replyOf('lost')])).toEqual(['gone'])
    expect(opened.replies).toEqual([])
  },
  { needs: 'knowsGone' },
)

claim(
  'a connection that stops leaves its inbox for the lease: replies are still stored, then gone',
  async (t) => {
    const [caller, worker] = [await t.adapter(), await t.adapter()]
    const { address } = await openInbox(caller, 1000)
    await caller.stop()
    expect(await worker.reply(address, [replyOf('waits')])).toEqual(['stored'])
    await eventually(async () => (await worker.reply(address, [replyOf('late')]))[0] === 'gone')
  },
  { needs: 'knowsGone' },
)

claim('replying never rejects: an address of nonsense has an outcome, after stop too', async (t) => {
  const adapter = await t.adapter()
  for (const address of ['', 'x', '../..', `${t.namespace}.in.ä ö\n`, 'a'.repeat(5000)])
    expect((await adapter.reply(address, [replyOf('x')]))[0]).not.toBe('stored')
  const { address } = await openInbox(await t.adapter())
  await adapter.stop()
  expect(await adapter.reply(address, [replyOf('x')])).toEqual(['unknown'])
})
