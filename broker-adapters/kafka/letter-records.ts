import type { Message } from '../../protocol/message.ts'
import type { DeadLetterReason, StoredDeadLetter } from '../adapter.ts'
import { readRequest, requestRecord } from './records.ts'
import type { NewRecord, StoredRecord } from './wire.ts'

// The topic of dead letters has letters, and notes of what became of some: a record cannot be removed from the middle.

export interface Death extends DeadLetterReason {
  /** Epoch ms. */
  readonly at: number
}

const DEATH = {
  code: 'rt-dead-code',
  reason: 'rt-dead-reason',
  attempts: 'rt-dead-attempts',
  at: 'rt-dead-at',
} as const

/** Of what is no letter: which letters somebody is about to take, or has taken. */
const NOTE = 'rt-dead-note'

export interface LetterNote {
  readonly kind: 'claim' | 'gone'
  /** Who writes it. */
  readonly by: string
  readonly offsets: readonly number[]
}

export function letterRecord(message: Message, { code, reason, attempts, at }: Death): NewRecord {
  const record = requestRecord({ ...message, delayMs: undefined, expiresInMs: undefined })
  const death = {
    [DEATH.code]: code,
    [DEATH.reason]: reason,
    [DEATH.attempts]: String(attempts),
    [DEATH.at]: String(at),
  }
  return { ...record, headers: { ...record.headers, ...death } }
}

export function noteRecord(note: LetterNote): NewRecord {
  return { key: null, value: Buffer.from(JSON.stringify(note)), headers: { [NOTE]: note.kind } }
}

/** Undefined: it is a letter. */
export function readLetterNote({ headers, value }: StoredRecord): LetterNote | undefined {
  if (headers[NOTE] === undefined) return undefined
  try {
    const note: unknown = JSON.parse(value?.toString('utf8') ?? '')
    if (isNote(note)) return note
  } catch {
    // As below.
  }
  return { kind: 'claim', by: '', offsets: [] } // a stranger's
}

function isNote(note: unknown): note is LetterNote {
  return typeof note === 'object' && note !== null && 'offsets' in note && Array.isArray(note.offsets)
}

export function readLetter(record: StoredRecord): StoredDeadLetter {
  const message = readRequest(record)
  const {
    [DEATH.code]: code = 'CRASHED',
    [DEATH.reason]: reason = 'no reason is known',
    [DEATH.attempts]: attempts,
    [DEATH.at]: at,
    ...headers
  } = message.headers
  return {
    message: { ...message, headers },
    code,
    reason,
    attempts: Number(attempts ?? 1) || 1,
    at: Number(at ?? record.timestamp) || record.timestamp,
  }
}
