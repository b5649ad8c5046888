import { HEADER } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import { withoutDue } from './delays.ts'
import type { Held, HeldFacts } from '../held.ts'
import type { RetryEntry } from './partition-notes.ts'
import { handBacksOf, readRequest, type RawMessage } from './properties.ts'

/** A message that lies with the owner unacked, in its place in the partition, until it is settled for good. */
export interface Kept {
  readonly raw: RawMessage
  readonly message: Message
  readonly key: string
  /** Of the retries until now. */
  entry: RetryEntry | undefined
  /** How often the core gave it back since it came. */
  releases: number
  /** It is offered to the core, or with it. */
  held: Held<RawMessage> | undefined
}

export function keep(raw: RawMessage, message = readRequest(raw)): Kept {
  return { raw, message, key: message.headers[HEADER.key] ?? '', entry: undefined, releases: 0, held: undefined }
}

/**
 * As the core gets it. What was tried again is a new message to it; which hand-overs that had, the entry knows better than the
 * server, which counts what only lay with an owner too.
 */
export function factsOf({ raw, message, entry, releases }: Kept, fence: number): HeldFacts<RawMessage> {
  const handBacks = entry === undefined ? handBacksOf(raw) + releases : entry.handOvers
  return {
    raw,
    message: { ...message, headers: { ...withoutDue(message.headers), ...entry?.headers } },
    redelivered: handBacks > 0 || (entry === undefined && raw.fields.redelivered),
    handBacks,
    fence,
  }
}
