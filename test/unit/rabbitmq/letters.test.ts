import type { ConsumeMessage } from 'amqplib'
import { expect, test } from 'vitest'
import { letterHeaders } from '../../../broker-adapters/rabbitmq/letter-headers.ts'
import { fitsLetter } from '../../../broker-adapters/letter-filter.ts'
import { groupLetters, readLetter } from '../../../broker-adapters/rabbitmq/read-letter.ts'

function raw(id: string | undefined, headers: Record<string, unknown>, timestamp?: number): ConsumeMessage {
  const properties = { messageId: id, headers, timestamp, type: 'send' }
  return { content: Buffer.of(1), fields: { redelivered: false }, properties } as unknown as ConsumeMessage // what is read of it
}
const parked = (id: string | undefined, code: string) =>
  raw(id, letterHeaders({ 'rt-method': 'work' }, { code, reason: 'no', attempts: 3 }, 5_000))

test('a letter has its message without what was added, and why it is here', () => {
  const letter = readLetter(parked('a', 'EXPIRED'))
  expect(letter).toMatchObject({ code: 'EXPIRED', reason: 'no', attempts: 3, at: 5_000 })
  expect({ ...letter.message.headers }).toEqual({ 'rt-method': 'work' })
})

test('what the server or a stranger put there says so', () => {
  const time = { '!': 'timestamp', value: 7 }
  const headers = { 'x-first-death-reason': 'delivery_limit', 'x-death': [{ time }], 'rt-attempt': '2', 'rt-due': '9' }
  const letter = readLetter(raw('a', headers))
  expect(letter).toMatchObject({ code: 'CRASHED', at: 7_000, attempts: 2 })
  expect(letter.reason).toContain('delivery_limit')
  expect(letter.message.headers['rt-due']).toBeUndefined()
  expect(readLetter(raw('a', { 'x-first-death-reason': 'rejected' })).reason).toContain('rejected')
  expect(readLetter(raw(undefined, {}, 9))).toMatchObject({ code: 'CRASHED', at: 9_000 })
})

test('of one id the last one counts; what has no id is one by itself', () => {
  const groups = groupLetters([
    parked('a', 'CRASHED'),
    parked(undefined, 'X'),
    parked('a', 'EXPIRED'),
    parked(undefined, 'X'),
  ])
  expect(groups.map(({ letter, raws }) => [letter.code, raws.length])).toEqual([
    ['EXPIRED', 2],
    ['X', 1],
    ['X', 1],
  ])
})

test('a filter is narrowed by each of its fields', () => {
  const letter = readLetter(parked('a', 'CRASHED'))
  const fits = [{}, { id: 'a' }, { code: 'CRASHED' }, { method: 'work' }, { olderThanMs: 1_000 }]
  const not = [{ id: 'b' }, { code: 'X' }, { method: 'x' }, { olderThanMs: 1_001 }]
  expect(fits.map((filter) => fitsLetter(letter, filter, 6_000))).toEqual(fits.map(() => true))
  expect(not.map((filter) => fitsLetter(letter, filter, 6_000))).toEqual(not.map(() => false))
})
