import { expect, test, vi } from 'vitest'
import { createLedger, type Ledger } from '../../../broker-adapters/rabbitmq/partition-ledger.ts'
import {
  encodeNote,
  parseNote,
  type PartitionNote,
  type RetryEntry,
} from '../../../broker-adapters/rabbitmq/partition-notes.ts'
import type { RawMessage } from '../../../broker-adapters/rabbitmq/properties.ts'

const entryOf = (more: Partial<RetryEntry> = {}): RetryEntry => ({
  kind: 'entry',
  owner: 1,
  sequence: 1,
  id: 'm',
  key: 'a',
  dueAt: 0,
  headers: {},
  handOvers: 0,
  ...more,
})

function setLedger(): {
  readonly ledger: Ledger
  readonly hear: (note: PartitionNote | string) => void
  /** What was acked, by the number of its hearing, from 0. */
  readonly acked: number[]
  readonly onSuperseded: () => void
} {
  const acked: number[] = []
  const onSuperseded = vi.fn()
  const ledger = createLedger({ ack: ({ fields }) => acked.push(fields.deliveryTag), onSuperseded })
  let tag = 0
  const hear = (note: PartitionNote | string): void => {
    const content = typeof note === 'string' ? Buffer.from(note) : Buffer.from(encodeNote(note))
    ledger.hear({ content, fields: { deliveryTag: tag++ }, properties: {} } as RawMessage) // all that it reads
  }
  return { ledger, hear, acked, onSuperseded }
}

/** It becomes the owner: hears two notes of its own. */
async function begin({ ledger, hear }: ReturnType<typeof setLedger>, owner: number): Promise<void> {
  const [probe, number] = [ledger.comes('my probe'), ledger.comes('my number')]
  hear({ kind: 'probe', token: 'my probe' })
  hear({ kind: 'owner', owner, token: 'my number' })
  await Promise.all([probe, number])
  ledger.begin(owner)
}

test('of several entries of a message the one of the higher owner counts, then the later one', async () => {
  const set = setLedger()
  set.hear(entryOf({ owner: 2, sequence: 1, handOvers: 5 }))
  set.hear(entryOf({ owner: 1, sequence: 9 }))
  set.hear(entryOf({ owner: 2, sequence: 2, handOvers: 7 }))
  await begin(set, 3)
  expect(set.ledger.lastOwner()).toBe(3)
  expect(set.ledger.claim('b', 'm')).toBeUndefined()
  expect(set.ledger.claim('a', 'm')).toMatchObject({ owner: 2, sequence: 2, handOvers: 7 })
  expect(set.ledger.claim('a', 'm')).toBeUndefined() // the second one of this id has none
  expect(set.acked).toEqual([1, 0, 3])
})

test('former owners and unclaimed entries go, and what is no note', async () => {
  const set = setLedger()
  set.hear({ kind: 'owner', owner: 4, token: 'former' })
  set.hear('{"kind":"entry"}')
  set.hear(entryOf({ owner: 4 }))
  expect(set.ledger.lastOwner()).toBe(4)
  await begin(set, 5)
  set.ledger.dropUnclaimed()
  expect(set.acked).toEqual([1, 0, 3, 2]) // not 4, its own number
})

test('an entry that is not needed any more goes when it comes; late ones of former owners count nothing', async () => {
  const set = setLedger()
  await begin(set, 5)
  const entry = entryOf({ owner: 5 })
  set.ledger.drop(entry)
  set.hear(entry)
  set.hear(entryOf({ owner: 4, sequence: 99 }))
  expect(set.acked).toEqual([0, 2, 3])
  expect(set.ledger.claim('a', 'm')).toBeUndefined()
})

test('a later owner is not robbed of its notes', async () => {
  const set = setLedger()
  await begin(set, 5)
  set.hear({ kind: 'probe', token: 'my probe' }) // stored twice
  expect(set.onSuperseded).not.toHaveBeenCalled()
  set.hear({ kind: 'probe', token: 'of somebody else' })
  expect(set.onSuperseded).toHaveBeenCalledOnce()
  expect(set.acked).toEqual([0, 2])
})

test.each(['', '[]', 'null', '{"kind":"probe"}', '{"kind":"owner","owner":-1,"token":"t"}', '{"kind":"entry","id":1}'])(
  'no note: %s',
  (text) => expect(parseNote(Buffer.from(text))).toBeUndefined(),
)

test('a note is read as it was written; headers that are no text are left out', () => {
  const entry = entryOf({ headers: { 'rt-attempt': '2' }, dueAt: 17 })
  expect(parseNote(encodeNote(entry))).toEqual(entry)
  const odd = { ...entry, headers: { 'rt-attempt': '2', n: 1 } }
  expect(parseNote(Buffer.from(JSON.stringify(odd)))).toEqual(entry)
})
