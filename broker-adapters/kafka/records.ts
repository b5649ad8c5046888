import { HEADER } from '../../protocol/headers.ts'
import type { Message, Reply, ReplyType } from '../../protocol/message.ts'
import type { NewRecord, StoredRecord } from './wire.ts'

// Requests and replies as records: what other brokers have properties for are headers, the body is the value. docs/protocol.md

/** Of the envelope; where a header says nothing, the other side is a program without this library. */
const ENVELOPE = {
  id: 'rt-id',
  replyTo: 'rt-reply-to',
  type: 'rt-type',
  contentType: 'rt-content-type',
  contentEncoding: 'rt-content-encoding',
} as const

/** Of the adapter, and gone from what the core gets. Both are epoch ms. */
const ON_THE_WAY = {
  /** Not handed out before. */
  due: 'rt-due',
  /** Not handed out after. */
  expires: 'rt-expires',
} as const

export const DUE_HEADER = ON_THE_WAY.due
const HIDDEN = new Set<string>([...Object.values(ENVELOPE), ...Object.values(ON_THE_WAY)])
const MESSAGE_TYPES = ['call', 'send', 'stream'] as const
const REPLY_TYPES = ['result', 'error', 'progress', 'chunk', 'end', 'grant'] as const satisfies readonly ReplyType[]

export interface Times {
  readonly dueAt?: number | undefined
  readonly expiresAt?: number | undefined
}

export function requestRecord(message: Message, { dueAt, expiresAt }: Times = {}): NewRecord {
  const { id, type, replyTo, contentType, contentEncoding, headers, body } = message
  const written: Record<string, string> = {
    [ENVELOPE.id]: id,
    [ENVELOPE.type]: type,
    [ENVELOPE.contentType]: contentType,
    ...headers,
  }
  if (replyTo !== undefined) written[ENVELOPE.replyTo] = replyTo
  if (contentEncoding !== undefined) written[ENVELOPE.contentEncoding] = contentEncoding
  if (dueAt !== undefined) written[ON_THE_WAY.due] = String(dueAt)
  if (expiresAt !== undefined) written[ON_THE_WAY.expires] = String(expiresAt)
  const key = headers[HEADER.key]
  return { key: key === undefined ? null : Buffer.from(key), value: toBuffer(body), headers: written }
}

/** Whatever a stranger wrote, ids are strings and headers are flat strings. */
export function readRequest({ headers, value }: StoredRecord): Message {
  const replyTo = headers[ENVELOPE.replyTo]
  const type = MESSAGE_TYPES.find((known) => known === headers[ENVELOPE.type])
  return {
    id: headers[ENVELOPE.id] ?? '',
    type: type ?? (replyTo === undefined ? 'send' : 'call'),
    replyTo,
    contentType: headers[ENVELOPE.contentType] ?? 'application/json',
    contentEncoding: headers[ENVELOPE.contentEncoding],
    headers: visible(headers),
    body: value ?? NOTHING,
  }
}

/** 0 and Infinity where it says nothing. */
export function timesOf({ headers }: Pick<StoredRecord, 'headers'>): {
  readonly dueAt: number
  readonly expiresAt: number
} {
  return {
    dueAt: epochMs(headers[ON_THE_WAY.due]) ?? 0,
    expiresAt: epochMs(headers[ON_THE_WAY.expires]) ?? Infinity,
  }
}

/** @param key by which the reader of a shared partition finds its own */
export function replyRecord(reply: Reply, key: string): NewRecord {
  const { correlationId, type, contentType, contentEncoding, headers, body } = reply
  const written: Record<string, string> = {
    [ENVELOPE.id]: correlationId,
    [ENVELOPE.type]: type,
    [ENVELOPE.contentType]: contentType,
    ...headers,
  }
  if (contentEncoding !== undefined) written[ENVELOPE.contentEncoding] = contentEncoding
  return { key: Buffer.from(key), value: toBuffer(body), headers: written }
}

/** Undefined for what is no reply at all. */
export function readReply({ headers, value }: StoredRecord): Reply | undefined {
  const type = REPLY_TYPES.find((known) => known === headers[ENVELOPE.type])
  const correlationId = headers[ENVELOPE.id]
  if (type === undefined || correlationId === undefined) return undefined
  return {
    correlationId,
    type,
    contentType: headers[ENVELOPE.contentType] ?? 'application/json',
    contentEncoding: headers[ENVELOPE.contentEncoding],
    headers: visible(headers),
    body: value ?? NOTHING,
  }
}

/** What it takes in a batch, about: an upper bound. https://kafka.apache.org/documentation/#record */
export function sizeOf({ key, value, headers }: NewRecord): number {
  let bytes = RECORD_OVERHEAD + (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
  for (const name in headers) bytes += HEADER_OVERHEAD + name.length + Buffer.byteLength(headers[name] ?? '')
  return bytes
}

export function toBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

/** Varints of lengths, offset and time. */
const RECORD_OVERHEAD = 32
const HEADER_OVERHEAD = 10
const NOTHING = Buffer.alloc(0)

function visible(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const shown: Record<string, string> = {}
  for (const name in headers) if (!HIDDEN.has(name)) shown[name] = headers[name] ?? ''
  return shown
}

function epochMs(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
