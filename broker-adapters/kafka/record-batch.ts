import { ByteReader, ByteWriter } from './bytes.ts'
import type { NewRecord, StoredRecord } from './wire.ts'

// Batches of records as they are stored and sent: https://kafka.apache.org/documentation/#recordbatch. kafkajs can do it, too, and
// takes a buffer of 512 bytes for every record and every header: that was about half of a call's CPU.

/** By its offset in a batch, bytes. */
const AT = { length: 8, magic: 16, crc: 17, attributes: 21 } as const
/** What stands before the records of a batch; its length is counted from behind itself. */
const HEAD_BYTES = 61
const LENGTH_END = 12
const MAGIC = 2
const ATTRIBUTE = { compression: 0x07, logAppendTime: 0x08, control: 0x20 } as const
/** No transaction, and nothing numbered. */
const NO_PRODUCER = -1

/** Lengths, offset, time and attributes of a record; lengths of a header. */
const RECORD_BYTES = 40
const HEADER_BYTES = 10
const UTF8_BYTES = 3

/** At most. */
export function batchBound(records: readonly NewRecord[]): number {
  let bytes = HEAD_BYTES
  for (const { key, value, headers } of records) {
    bytes += RECORD_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
    for (const name in headers) bytes += HEADER_BYTES + UTF8_BYTES * (name.length + (headers[name] ?? '').length)
  }
  return bytes
}

/** @param now epoch ms; a topic of ours notes its server's time instead */
export function writeBatch(
  to: ByteWriter,
  records: readonly NewRecord[],
  { now, crcOf }: { readonly now: number; readonly crcOf: (bytes: Buffer) => number },
): void {
  const from = to.at
  to.int64(0) // the first offset: the server's to give
  to.int32(0) // the length, known at the end
  to.int32(-1) // the epoch of the leader: the server's, too
  to.int8(MAGIC)
  to.int32(0) // the checksum, known at the end
  to.int16(0) // attributes
  to.int32(records.length - 1)
  to.int64(now)
  to.int64(now)
  to.int64(NO_PRODUCER)
  to.int16(NO_PRODUCER)
  to.int32(NO_PRODUCER)
  to.int32(records.length)
  for (const [index, record] of records.entries()) to.sized(() => writeRecord(to, index, record))
  const { bytes, at } = to
  bytes.writeInt32BE(at - from - LENGTH_END, from + AT.length)
  bytes.writeUInt32BE(crcOf(bytes.subarray(from + AT.attributes, at)), from + AT.crc)
}

function writeRecord(to: ByteWriter, index: number, { key, value, headers }: NewRecord): void {
  to.int8(0) // attributes
  to.varint(0) // later than the batch, ms
  to.varint(index)
  to.sizedBytes(key)
  to.sizedBytes(value)
  const names = Object.keys(headers)
  to.varint(names.length)
  for (const name of names) {
    to.sizedText(name)
    to.sizedText(headers[name] ?? '')
  }
}

/** What was read of one partition. */
export interface PlainRecords {
  readonly records: readonly StoredRecord[]
  /** Behind the last batch that is whole; 0 if there is none. */
  readonly nextOffset: number
}

/** Undefined for what kafkajs is asked to read: compressed batches, and those of before Kafka 0.11. */
export function readBatches(bytes: Buffer): PlainRecords | undefined {
  const records: StoredRecord[] = []
  let nextOffset = 0
  // A server cuts off where its limit is, in the middle of a batch.
  for (let from = 0, end = 0; bytes.length >= from + HEAD_BYTES; from = end) {
    end = from + LENGTH_END + bytes.readInt32BE(from + AT.length)
    if (bytes.readInt8(from + AT.magic) !== MAGIC) return undefined
    if (end < from + HEAD_BYTES) throw new RangeError('a batch is shorter than its head')
    if (end > bytes.length) break
    const batch = new ByteReader(bytes, from)
    const base = batch.int64()
    batch.at = from + AT.attributes
    const attributes = batch.int16()
    if ((attributes & ATTRIBUTE.compression) !== 0) return undefined
    nextOffset = base + batch.int32() + 1
    if ((attributes & ATTRIBUTE.control) === 0) readBatch(batch, base, attributes, records)
  }
  return { records, nextOffset }
}

function readBatch(batch: ByteReader, base: number, attributes: number, into: StoredRecord[]): void {
  const first = batch.int64()
  const appended = (attributes & ATTRIBUTE.logAppendTime) === 0 ? undefined : batch.int64()
  if (appended === undefined) batch.skip(8)
  batch.skip(8 + 2 + 4) // the producer, its epoch, its number
  for (let left = batch.int32(); left > 0; left--) {
    const end = batch.varint() + batch.at
    if (end <= batch.at || end > batch.bytes.length) throw new RangeError('a record has a length that cannot be')
    batch.skip(1) // attributes
    const timestamp = first + batch.varint()
    const offset = base + batch.varint()
    const key = batch.sizedBytes()
    const value = batch.sizedBytes()
    into.push({ offset, timestamp: appended ?? timestamp, key, value, headers: readHeaders(batch) })
    batch.at = end
  }
}

/** One that comes several times counts as it comes last. */
function readHeaders(batch: ByteReader): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (let left = batch.varint(); left > 0; left--) {
    const name = batch.sizedText()
    const content = batch.sizedText()
    if (name !== '__proto__') headers[name] = content
  }
  return headers
}
