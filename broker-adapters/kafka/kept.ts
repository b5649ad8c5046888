import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import { placeOf } from './hash.ts'
import { readReply, replyRecord } from './records.ts'
import type { NewRecord, Place, StoredRecord } from './wire.ts'

// Kept mailboxes lie in one topic, each by its call's id in one of its partitions: that it was made, then what was replied. All that is true of one
// follows from the order of its records there, so everybody who reads them agrees.

const KEEP_MS = 'rt-kept-ms'
const MAKER = 'rt-kept-by'

export function keptPlace(topic: string, callId: string, partitions: number): Place {
  return { topic, partition: placeOf(callId, partitions) }
}

export function keptRecord(
  reply: Reply,
  { callId, keepMs }: { readonly callId: string; readonly keepMs: number },
): NewRecord {
  const record = replyRecord(reply, callId)
  return { ...record, headers: { ...record.headers, [KEEP_MS]: String(keepMs) } }
}

export function madeRecord({
  callId,
  keepMs,
  maker,
}: {
  readonly callId: string
  readonly keepMs: number
  readonly maker: string
}): NewRecord {
  return { key: Buffer.from(callId), value: null, headers: { [MAKER]: maker, [KEEP_MS]: String(keepMs) } }
}

export interface Contents {
  readonly maker: string | undefined
  readonly keepMs: number
  readonly outcome: Reply | undefined
}

/** What the mailbox of a call is, from its records in their order. */
export interface KeptState {
  read(record: StoredRecord): void
  /** Undefined: there is none, or none any more. */
  at(now: number): Contents | undefined
}

export function createKeptState(callId: string): KeptState {
  let until = -Infinity
  let maker: string | undefined
  let keepMs = 0
  let outcome: Reply | undefined

  /** One that has run out is made anew. */
  function make(by: string | undefined, forMs: number, at: number): void {
    if (at <= until) return
    maker = by
    keepMs = forMs
    outcome = undefined
    until = at + forMs
  }

  return {
    read(record) {
      const { key, headers, timestamp } = record
      if (key?.toString() !== callId) return
      const forMs = Number(headers[KEEP_MS] ?? 0)
      if (headers[MAKER] !== undefined) return make(headers[MAKER], forMs, timestamp)
      const reply = readReply(record)
      if (reply === undefined || !isFinalReply(reply.type)) return
      make(undefined, forMs, timestamp)
      if (outcome !== undefined && replayOf(reply.headers) <= replayOf(outcome.headers)) return
      outcome = reply
      until = Math.max(until, timestamp + forMs)
    },
    at: (now) => (now > until ? undefined : { maker, keepMs, outcome }),
  }
}

/** A call's id, if the library made it, begins with when that was: RFC 9562, version 7. Undefined: it does not say. */
export function madeAt(callId: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(callId)) return undefined
  return Number.parseInt(callId.replace('-', '').slice(0, 12), 16)
}
