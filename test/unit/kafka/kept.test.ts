import { expect, test } from 'vitest'
import { createKeptState, keptPlace, keptRecord, madeAt, madeRecord } from '../../../broker-adapters/kafka/kept.ts'
import type { NewRecord, StoredRecord } from '../../../broker-adapters/kafka/wire.ts'
import { newCallId } from '../../../protocol/ids.ts'
import type { Reply } from '../../../protocol/message.ts'

const callId = 'c'
const reply = (text: string, more: Partial<Reply> = {}): Reply => ({
  correlationId: callId,
  type: 'result',
  contentType: 'application/json',
  contentEncoding: undefined,
  headers: {},
  body: Buffer.from(text),
  ...more,
})
const made = (maker: string, keepMs = 1_000): NewRecord => madeRecord({ callId, keepMs, maker })
const kept = (text: string, { keepMs = 1_000, ...more }: Partial<Reply> & { keepMs?: number } = {}): NewRecord =>
  keptRecord(reply(text, more), { callId, keepMs })

/** What a mailbox of these records is at a time. */
function stateAt(now: number, records: readonly (readonly [at: number, record: NewRecord])[]) {
  const state = createKeptState(callId)
  for (const [offset, [timestamp, record]] of records.entries())
    state.read({ ...record, offset, timestamp } satisfies StoredRecord)
  const found = state.at(now)
  const { maker, keepMs, outcome } = found ?? {}
  return found && { maker, keepMs, text: outcome && Buffer.from(outcome.body).toString() }
}

test('there is one from its making for as long as was said, and no longer', () => {
  expect(stateAt(100, [])).toBeUndefined()
  expect(stateAt(1_100, [[100, made('m')]])).toEqual({ maker: 'm', keepMs: 1_000, text: undefined })
  expect(stateAt(1_101, [[100, made('m')]])).toBeUndefined()
})

test('of two that make it the first one has made it; once it has run out, the next one', () => {
  const first = [100, made('m', 1_000)] as const
  expect(stateAt(200, [first, [150, made('n', 9_000)]])).toMatchObject({ maker: 'm', keepMs: 1_000 })
  expect(stateAt(1_300, [first, [1_200, made('n', 9_000)]])).toMatchObject({ maker: 'n', keepMs: 9_000 })
})

test('an outcome keeps it again for as long; the first of the highest replay counts', () => {
  const first = [100, made('m')] as const
  const outcome = [900, kept('a')] as const
  expect(stateAt(1_900, [first, outcome])).toMatchObject({ text: 'a' })
  expect(stateAt(1_901, [first, outcome])).toBeUndefined()
  expect(stateAt(950, [first, outcome, [910, kept('b')]])).toMatchObject({ text: 'a' })
  const replayed = [920, kept('c', { headers: { 'rt-replay': '1' } })] as const
  expect(stateAt(950, [first, outcome, replayed, [930, kept('d')]])).toMatchObject({ text: 'c' })
})

test('an outcome that comes when it has run out makes it anew, without what was before', () => {
  const all = [
    [100, made('m')],
    [200, kept('a', { headers: { 'rt-replay': '5' } })],
    [5_000, kept('b', { keepMs: 3_000 })],
  ] as const
  expect(stateAt(8_000, all)).toEqual({ maker: undefined, keepMs: 3_000, text: 'b' })
  expect(stateAt(8_001, all)).toBeUndefined()
})

test('progress, what is for others and what is no reply change nothing', () => {
  const stranger: NewRecord = { key: Buffer.from(callId), value: Buffer.from('x'), headers: {} }
  const others = madeRecord({ callId: 'other', keepMs: 9_000, maker: 'n' })
  const all = [
    [100, made('m')],
    [110, kept('p', { type: 'progress', keepMs: 9_000 })],
    [120, stranger],
    [130, others],
    [140, { ...stranger, key: null }],
  ] as const
  expect(stateAt(1_100, all)).toEqual({ maker: 'm', keepMs: 1_000, text: undefined })
  expect(stateAt(1_101, all)).toBeUndefined()
  expect(stateAt(0, [[100, stranger]])).toBeUndefined()
})

test('a call stays in one partition', () => {
  const places = ['a', 'b', 'ä', newCallId()].map((id) => keptPlace('t', id, 8))
  for (const { topic, partition } of places) expect([topic, partition >= 0 && partition < 8]).toEqual(['t', true])
  expect(keptPlace('t', 'a', 8)).toEqual({ topic: 't', partition: 0xe40c292c % 8 }) // FNV-1a of 'a'
})

test('an id of ours says when it was made; any other says nothing', () => {
  const before = Date.now()
  const at = madeAt(newCallId()) ?? NaN
  expect(at).toBeGreaterThanOrEqual(before - 1_000)
  expect(at).toBeLessThanOrEqual(Date.now() + 1_000)
  expect(madeAt('018bcfe5-687b-7000-8000-000000000000')).toBe(1_700_000_000_123)
  for (const id of ['', 'order-17', '550e8400-e29b-41d4-a716-446655440000', 'x'.repeat(64)])
    expect(madeAt(id)).toBeUndefined()
})
