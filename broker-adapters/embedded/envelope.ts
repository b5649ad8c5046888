import { HEADER } from '../../protocol/headers.ts'
import type { Message, Reply } from '../../protocol/message.ts'
import { createFieldsReader, createFrameWriter, type FrameReader, type FrameWriter } from './wire.ts'

/*
 * An envelope, as it is stored and sent; the fields are those of wire.ts:
 *
 *     envelope = u8 type, with marks · [str replyTo] · str contentType · [str contentEncoding] · size n · n × header · bytes body
 *     header   = u8 number of its name · str value, or for other names: u8 255 · str name · str value
 *
 * The id travels beside it, because the hub needs it.
 */
type Headers = Readonly<Record<string, string>>

/** By number, which is stored: new ones are put at the end. */
const MESSAGE_TYPES: readonly Message['type'][] = ['call', 'send', 'stream']
const REPLY_TYPES: readonly Reply['type'][] = ['result', 'error', 'progress', 'chunk', 'end', 'grant']
const NAMES: readonly string[] = [
  HEADER.version,
  HEADER.service,
  HEADER.method,
  HEADER.contractVersion,
  HEADER.caller,
  HEADER.host,
  HEADER.deadline,
  HEADER.sent,
  HEADER.depth,
  HEADER.attempt,
  HEADER.ran,
  HEADER.resent,
  HEADER.history,
  HEADER.worker,
  HEADER.sequence,
]
const NUMBERS: ReadonlyMap<string, number> = new Map(NAMES.map((name, number) => [name, number]))
const OTHER_NAME = 255

/** Beside the number of the type: which of the optional texts there are. */
const MARK = { type: 0x0f, replyTo: 0x10, contentEncoding: 0x20 } as const

/** As one `bytes`. */
export function writeMessage(writer: FrameWriter, message: Message, headers: Headers): void {
  const { type, replyTo, contentType, contentEncoding, body } = message
  writer.beginBytes()
  writer.u8(MESSAGE_TYPES.indexOf(type) | marks(replyTo, contentEncoding))
  if (replyTo !== undefined) writer.str(replyTo)
  writeRest(writer, contentType, contentEncoding, headers, body)
  writer.endBytes()
}

/** The envelope alone. */
export function encodeMessage(message: Message): Buffer {
  writeMessage(scratch.begin(0), message, message.headers)
  scratch.end()
  const frame = scratch.take().at(-1) ?? Buffer.alloc(FRAME_AND_SIZE_BYTES)
  return Buffer.from(frame.buffer, frame.byteOffset + FRAME_AND_SIZE_BYTES, frame.length - FRAME_AND_SIZE_BYTES)
}
const scratch = createFrameWriter()
const FRAME_AND_SIZE_BYTES = 4 + 1 + 4

/** As one `bytes`. */
export function writeReply(writer: FrameWriter, { type, contentType, contentEncoding, headers, body }: Reply): void {
  writer.beginBytes()
  writer.u8(REPLY_TYPES.indexOf(type) | marks(undefined, contentEncoding))
  writeRest(writer, contentType, contentEncoding, headers, body)
  writer.endBytes()
}

function marks(replyTo: string | undefined, contentEncoding: string | undefined): number {
  return (replyTo === undefined ? 0 : MARK.replyTo) | (contentEncoding === undefined ? 0 : MARK.contentEncoding)
}

function writeRest(
  writer: FrameWriter,
  contentType: string,
  contentEncoding: string | undefined,
  headers: Headers,
  body: Uint8Array,
): void {
  writer.str(contentType)
  if (contentEncoding !== undefined) writer.str(contentEncoding)
  const names = Object.keys(headers)
  writer.size(names.length)
  for (const name of names) {
    const number = NUMBERS.get(name)
    if (number === undefined) writer.u8(OTHER_NAME).str(name)
    else writer.u8(number)
    writer.str(headers[name] ?? '')
  }
  writer.bytes(body)
}

/** One for all, since a reader has memory for the bodies of many: an envelope is read to its end before the next one is. */
const inside = createFieldsReader()

function insideOf(fields: FrameReader): FrameReader {
  const envelope = fields.view()
  inside.read(envelope, 0, envelope.length)
  return inside
}

/** The envelope that `bytes` hold, of which the size is next; what follows can be read also if it is none. */
export function readMessageBytes(id: string, fields: FrameReader): Message {
  return readMessage(id, insideOf(fields))
}

/**
 * What is no envelope, which only another program writes, is a message without a type of content: its worker keeps it as a
 * dead letter. An error here would end the connection of everybody who is handed it.
 */
export function readMessage(id: string, fields: FrameReader): Message {
  try {
    return readEnvelope(id, fields)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { ...NO_ENVELOPE, id, type: 'send', replyTo: undefined }
  }
}

const NO_ENVELOPE = { contentType: '', contentEncoding: undefined, headers: {}, body: new Uint8Array() } as const

function readEnvelope(id: string, fields: FrameReader): Message {
  const first = fields.u8()
  return {
    id,
    type: typeOf(MESSAGE_TYPES, first),
    replyTo: (first & MARK.replyTo) === 0 ? undefined : fields.str(),
    contentType: fields.str(),
    contentEncoding: (first & MARK.contentEncoding) === 0 ? undefined : fields.str(),
    headers: readHeaders(fields),
    body: fields.body(),
  }
}

/** The envelope that `bytes` hold, of which the size is next. */
export function readReplyBytes(correlationId: string, fields: FrameReader): Reply {
  return readReply(correlationId, insideOf(fields))
}

/** What is no envelope is an error that cannot be read: its call ends with INVALID_MESSAGE. */
export function readReply(correlationId: string, fields: FrameReader): Reply {
  try {
    return readReplyEnvelope(correlationId, fields)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { ...NO_ENVELOPE, correlationId, type: 'error' }
  }
}

function readReplyEnvelope(correlationId: string, fields: FrameReader): Reply {
  const first = fields.u8()
  return {
    correlationId,
    type: typeOf(REPLY_TYPES, first),
    contentType: fields.str(),
    contentEncoding: (first & MARK.contentEncoding) === 0 ? undefined : fields.str(),
    headers: readHeaders(fields),
    body: fields.body(),
  }
}

function readHeaders(fields: FrameReader): Headers {
  const headers: Record<string, string> = {}
  for (let left = fields.size(); left > 0; left--) {
    const number = fields.u8()
    const name = NAMES[number] ?? fields.str()
    headers[name] = fields.str()
  }
  return headers
}

function typeOf<Type>(types: readonly Type[], first: number): Type {
  const type = types[first & MARK.type]
  if (type === undefined) throw new RangeError(`an envelope of type ${first}`)
  return type
}
