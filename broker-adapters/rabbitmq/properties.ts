import type { ConsumeMessage, GetMessage, Options } from 'amqplib'
import { HEADER, integerHeader } from '../../protocol/headers.ts'
import type { Message, Reply, ReplyType } from '../../protocol/message.ts'

/** A message of amqplib, however it came. */
export type RawMessage = ConsumeMessage | GetMessage

/** What the server adds on the way; published again, older servers would act on it. */
const OF_THE_SERVER = /^x-(?:death$|first-death-|last-death-|delivery-count$|acquired-count$)/
const MESSAGE_TYPES = ['call', 'send', 'stream'] as const
const REPLY_TYPES = ['result', 'error', 'progress', 'chunk', 'end', 'grant'] as const satisfies readonly ReplyType[]

/** In these a server reads further queues to route to: https://www.rabbitmq.com/docs/sender-selected. A user's go under another name. */
const ROUTING = ['CC', 'BCC'] as const
const ESCAPE = 'rt-user-'

/** Of a request, by the table of docs/protocol.md. */
export function requestProperties(message: Message, headers = message.headers): Options.Publish {
  const { id, type, replyTo, contentType, contentEncoding } = message
  const sentAt = integerHeader(headers, HEADER.sent) ?? Date.now()
  const properties: Options.Publish = {
    messageId: id,
    correlationId: id,
    type,
    contentType,
    headers: writeHeaders(headers),
    timestamp: Math.floor(sentAt / 1_000),
    deliveryMode: PERSISTENT,
    mandatory: true,
  }
  if (replyTo !== undefined) properties.replyTo = replyTo
  if (contentEncoding !== undefined) properties.contentEncoding = contentEncoding
  return properties
}

export function replyProperties({
  correlationId,
  type,
  contentType,
  contentEncoding,
  headers,
}: Reply): Options.Publish {
  const properties: Options.Publish = {
    messageId: correlationId,
    correlationId,
    type,
    contentType,
    headers: writeHeaders(headers),
    deliveryMode: PERSISTENT,
    mandatory: true,
  }
  if (contentEncoding !== undefined) properties.contentEncoding = contentEncoding
  return properties
}

/** Whatever a stranger wrote, ids are strings and headers are flat strings. */
export function readRequest({ properties, content }: RawMessage): Message {
  const id = text(properties.messageId) ?? text(properties.correlationId) ?? ''
  const replyTo = text(properties.replyTo)
  const type = MESSAGE_TYPES.find((known) => known === properties.type)
  return {
    id,
    type: type ?? (replyTo === undefined ? 'send' : 'call'),
    replyTo,
    contentType: text(properties.contentType) ?? 'application/json',
    contentEncoding: text(properties.contentEncoding),
    headers: readHeaders(properties.headers),
    body: content,
  }
}

/** Undefined for what is no reply at all. */
export function readReply({ properties, content }: RawMessage): Reply | undefined {
  const type = REPLY_TYPES.find((known) => known === properties.type)
  const correlationId = text(properties.correlationId)
  if (type === undefined || correlationId === undefined) return undefined
  return {
    correlationId,
    type,
    contentType: text(properties.contentType) ?? 'application/json',
    contentEncoding: text(properties.contentEncoding),
    headers: readHeaders(properties.headers),
    body: content,
  }
}

/** How often the server took it back. */
export function handBacksOf({ properties, fields }: RawMessage): number {
  const count: unknown = properties.headers?.['x-delivery-count']
  return typeof count === 'number' ? count : fields.redelivered ? 1 : 0
}

/** Why the server itself took it out of its queue; the last time, as what was delayed has died of its delay before. */
export function deathOf({ properties }: RawMessage): string | undefined {
  const deaths: unknown = properties.headers?.['x-death']
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined
  const reason = typeof last === 'object' && last !== null && 'reason' in last ? text(last.reason) : undefined
  return reason ?? text(properties.headers?.['x-first-death-reason'])
}

export function toBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

const PERSISTENT = 2

function writeHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  let written: Record<string, string> | undefined
  for (const name of ROUTING) {
    const value = headers[name]
    if (value === undefined) continue
    written ??= { ...headers }
    delete written[name]
    written[ESCAPE + name] = value
  }
  return written ?? headers
}

function readHeaders(table: Record<string, unknown> | undefined): Record<string, string> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string> // a stranger's name may be __proto__
  for (const name in table) {
    const value = name.startsWith('x-') && OF_THE_SERVER.test(name) ? undefined : text(table[name])
    if (value !== undefined) headers[name.startsWith(ESCAPE) ? name.slice(ESCAPE.length) : name] = value
  }
  return headers
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  return JSON.stringify(value)
}
