import { bytesOfPlacing, encodePlacing, readPlacing, type Placing } from './placing.ts'
import { bytesOfText, writeText } from './text.ts'
import { createFieldsReader, fieldsOf, type FrameReader } from './wire.ts'

/*
 * What the store holds for one queue, one message and one dead letter.
 *
 *     queue   = u32 number · u8 isPaused
 *     message = u32 queue · num dueAt · num expiresAt · str id · str generation · placing · blob
 *     letter  = u32 bytes · JSON of LetterJson · blob
 *
 * A message is handed out as it is stored, so that the hub neither reads nor cuts it.
 */
export interface MessageRecord {
  readonly queue: number
  /** Epoch ms; 0: at once. */
  readonly dueAt: number
  /** Epoch ms; 0: never. */
  readonly expiresAt: number
  readonly id: string
  /** Empty, or the generation of a replay. */
  readonly generation: string
  readonly placing: Placing
}

export interface LetterJson {
  readonly queue: number
  readonly id: string
  readonly at: number
  readonly code: string
  readonly reason: string
  readonly attempts: number
}

export function encodeQueueRecord({
  number,
  isPaused,
}: {
  readonly number: number
  readonly isPaused: boolean
}): Buffer {
  const record = Buffer.alloc(5)
  record.writeUInt8(isPaused ? 1 : 0, record.writeUInt32BE(number, 0))
  return record
}

export function decodeQueueRecord(record: Buffer): { readonly number: number; readonly isPaused: boolean } {
  return { number: record.readUInt32BE(0), isPaused: record.readUInt8(4) === 1 }
}

const FIXED_BYTES = 4 + 8 + 8

export function encodeMessageRecord(
  queue: number,
  { dueAt, expiresAt, id, generation, placing }: Omit<MessageRecord, 'queue'>,
  blob: Uint8Array,
): Buffer {
  const record = Buffer.allocUnsafe(
    FIXED_BYTES + bytesOfText(id) + bytesOfText(generation) + bytesOfPlacing(placing) + blob.length,
  )
  record.writeUInt32BE(queue, 0)
  record.writeDoubleBE(dueAt, 4)
  record.writeDoubleBE(expiresAt, 12)
  const placingAt = writeText(record, writeText(record, FIXED_BYTES, id), generation)
  record.set(blob, encodePlacing(record, placingAt, placing))
  return record
}

export function decodeMessageRecord(record: Buffer): MessageRecord {
  const fields = fieldsOfMessage
  fields.read(record, 0, record.length)
  // In the order of the layout; not spread from parts, which costs more than all the rest.
  return {
    queue: fields.u32(),
    dueAt: fields.num(),
    expiresAt: fields.num(),
    id: fields.str(),
    generation: fields.str(),
    placing: readPlacing(fields),
  }
}

/** One for all: a new hub reads a million of them, and making a reader costs as much as reading. */
const fieldsOfMessage = createFieldsReader()

export function blobOfMessage(record: Buffer): Buffer {
  const fields = fieldsOf(record)
  skipToId(fields)
  fields.str()
  fields.str()
  readPlacing(fields)
  return fields.rest()
}

/** What is next is the id of the message. */
export function skipToId(fields: FrameReader): void {
  fields.skip(FIXED_BYTES)
}

export function encodeLetterRecord(json: LetterJson, blob: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(json))
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text, blob])
}

export function decodeLetterRecord(record: Buffer): { readonly json: LetterJson; readonly blob: Buffer } {
  const blobAt = 4 + record.readUInt32BE(0)
  const json = JSON.parse(record.toString('utf8', 4, blobAt)) as LetterJson // written by encodeLetterRecord
  return { json, blob: record.subarray(blobAt) }
}

/** What a publish is recognised by: a replay of a dead letter is not a duplicate of what it replays. */
export function keyOf(id: string, generation: string): string {
  return generation === '' ? id : `${id} ${generation}`
}
