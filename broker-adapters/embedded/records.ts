/*
 * What the store holds for one message and one dead letter.
 *
 *     message = u32 queue · num dueAt · num expiresAt · u16 bytes · id · u16 bytes · generation · blob
 *     letter  = u32 bytes · JSON of LetterJson · blob
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
}

export interface LetterJson {
  readonly queue: number
  readonly id: string
  readonly at: number
  readonly code: string
  readonly reason: string
  readonly attempts: number
}

const FIXED_BYTES = 4 + 8 + 8

export function encodeMessageRecord(fields: MessageRecord, blob: Uint8Array): Buffer {
  const { id, generation } = fields
  const record = Buffer.allocUnsafe(FIXED_BYTES + 4 + (id.length + generation.length) * 3 + blob.length)
  record.writeUInt32BE(fields.queue, 0)
  record.writeDoubleBE(fields.dueAt, 4)
  record.writeDoubleBE(fields.expiresAt, 12)
  const generationAt = FIXED_BYTES + 2 + record.write(id, FIXED_BYTES + 2, 'utf8')
  record.writeUInt16BE(generationAt - FIXED_BYTES - 2, FIXED_BYTES)
  const blobAt = generationAt + 2 + record.write(generation, generationAt + 2, 'utf8')
  record.writeUInt16BE(blobAt - generationAt - 2, generationAt)
  record.set(blob, blobAt)
  return record.subarray(0, blobAt + blob.length)
}

export function decodeMessageRecord(record: Buffer): MessageRecord {
  const generationAt = FIXED_BYTES + 2 + record.readUInt16BE(FIXED_BYTES)
  const blobAt = generationAt + 2 + record.readUInt16BE(generationAt)
  return {
    queue: record.readUInt32BE(0),
    dueAt: record.readDoubleBE(4),
    expiresAt: record.readDoubleBE(12),
    id: record.toString('utf8', FIXED_BYTES + 2, generationAt),
    generation: record.toString('utf8', generationAt + 2, blobAt),
  }
}

export function blobOfMessage(record: Buffer): Buffer {
  const generationAt = FIXED_BYTES + 2 + record.readUInt16BE(FIXED_BYTES)
  return record.subarray(generationAt + 2 + record.readUInt16BE(generationAt))
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
