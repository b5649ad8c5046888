import { expect } from 'vitest'
import { HEADER } from '../../../protocol/headers.ts'
import { newCallId } from '../../../protocol/ids.ts'
import type { Reply } from '../../../protocol/message.ts'
import { eventuallyPasses } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { replyOf, type StartedAdapter } from '../case-context.ts'

const { cases, claim } = claimsOf('seam mailbox')
export const mailbox = cases

/** Long enough that a busy machine opens it within that. */
const SHORT_MS = 1_500

const NEEDS = { needs: 'maxKeepMs' } as const

async function open(adapter: StartedAdapter, id: string, createForMs?: number) {
  const got: Reply[] = []
  const opened = await adapter.openMailbox(id, { createForMs }, (reply) => got.push(reply))
  return { ...opened, got, bodies: () => got.map(({ type, body }) => [type, ...body]) }
}

claim(
  'an outcome is read by whoever opens the mailbox, again and again, from any connection',
  async (t) => {
    const [caller, worker, later] = [await t.adapter(), await t.adapter(), await t.adapter()]
    const id = newCallId()
    const mine = await open(caller, id, 60_000)
    expect(mine.isFound).toBe(false)
    expect(mine.address.startsWith(`${t.namespace}.`)).toBe(true)
    expect(await worker.reply(mine.address, [replyOf(id, { body: Uint8Array.of(1, 2) })])).toEqual(['stored'])
    await eventuallyPasses(() => expect(mine.bodies()).toEqual([['result', 1, 2]]))
    for (const adapter of [later, later, caller]) {
      const again = await open(adapter, id)
      expect([again.isFound, ...again.bodies()]).toEqual([true, ['result', 1, 2]])
      await again.close()
    }
    await mine.close()
    expect((await open(later, id)).isFound).toBe(true)
  },
  NEEDS,
)

claim(
  'nobody has one that was never made; opening it to read makes none',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    expect((await open(adapter, id)).isFound).toBe(false)
    expect((await open(adapter, id)).isFound).toBe(false)
  },
  NEEDS,
)

claim(
  'it may be made twice, and is the same',
  async (t) => {
    const [one, other] = [await t.adapter(), await t.adapter()]
    const id = newCallId()
    const first = await open(one, id, 60_000)
    const second = await open(other, id, 60_000)
    expect([first.isFound, second.isFound, second.address]).toEqual([false, true, first.address])
    await other.reply(first.address, [replyOf(id)])
    await eventuallyPasses(() => expect([first.got.length, second.got.length]).toEqual([1, 1]))
  },
  NEEDS,
)

claim(
  'the first outcome stays; that of a later generation takes its place',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    const { address, bodies } = await open(adapter, id, 60_000)
    const error = (byte: number) => replyOf(id, { type: 'error', body: Uint8Array.of(byte) })
    await adapter.reply(address, [error(1)])
    await adapter.reply(address, [error(2)])
    expect((await open(adapter, id)).bodies()).toEqual([['error', 1]])
    await adapter.reply(address, [replyOf(id, { body: Uint8Array.of(3), headers: { [HEADER.replay]: '1' } })])
    await adapter.reply(address, [error(4)])
    expect((await open(adapter, id)).bodies()).toEqual([['result', 3]])
    const both = [
      ['error', 1],
      ['result', 3],
    ]
    await eventuallyPasses(() => expect(bodies()).toEqual(both))
  },
  NEEDS,
)

claim(
  'what is no outcome reaches those who read now, and is not kept',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    const { address, got } = await open(adapter, id, 60_000)
    await adapter.reply(address, [replyOf(id, { type: 'progress' }), replyOf(id)])
    await eventuallyPasses(() => expect(got.map(({ type }) => type)).toEqual(['progress', 'result']))
    const later = await open(adapter, id)
    expect(later.got.map(({ type }) => type)).toEqual(['result'])
  },
  NEEDS,
)

claim(
  'it is gone after its time, and an outcome that comes later makes it anew',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    const opened = await open(adapter, id, SHORT_MS)
    const { address } = opened
    await opened.close()
    await eventuallyPasses(async () => expect((await open(adapter, id)).isFound).toBe(false))
    expect(await adapter.reply(address, [replyOf(id)])).toEqual(['stored'])
    expect((await open(adapter, id)).got).toHaveLength(1)
    await eventuallyPasses(async () => expect((await open(adapter, id)).isFound).toBe(false))
  },
  NEEDS,
)

claim(
  'a reader outlives its mailbox: it gets the outcome that makes it anew',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    const { address, got } = await open(adapter, id, SHORT_MS)
    await eventuallyPasses(async () => expect((await open(adapter, id)).isFound).toBe(false))
    await adapter.reply(address, [replyOf(id)])
    await eventuallyPasses(() => expect(got).toHaveLength(1))
    await adapter.reply(address, [replyOf(id)])
    expect((await open(adapter, id)).got).toHaveLength(1)
    expect(got).toHaveLength(1)
  },
  NEEDS,
)

claim(
  'a reader that has closed it hears nothing more',
  async (t) => {
    const adapter = await t.adapter()
    const id = newCallId()
    const [left, stayed] = [await open(adapter, id, 60_000), await open(adapter, id)]
    await left.close()
    await adapter.reply(left.address, [replyOf(id)])
    await eventuallyPasses(() => expect(stayed.got.length).toBe(1))
    expect(left.got).toEqual([])
  },
  NEEDS,
)
