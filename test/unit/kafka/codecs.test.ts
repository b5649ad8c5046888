import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import type { FetchAnswer } from '../../../broker-adapters/kafka/answers.ts'
import { ByteReader, ByteWriter } from '../../../broker-adapters/kafka/bytes.ts'
import { FETCH_CODEC, produceCodec, type ProducePayload } from '../../../broker-adapters/kafka/codecs.ts'
import { loadLibrary } from '../../../broker-adapters/kafka/library.ts'
import { batchBound, readBatches, writeBatch } from '../../../broker-adapters/kafka/record-batch.ts'
import type { NewRecord } from '../../../broker-adapters/kafka/wire.ts'

// What we write, kafkajs reads, and the other way round.

const require = createRequire(import.meta.url)
const { crcOf } = loadLibrary()
const NOW = 1_790_000_000_123

const record = (
  headers: Record<string, string> = {},
  value: string | null = 'v',
  key: string | null = 'k',
): NewRecord => ({
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  headers,
})

const RECORDS: readonly NewRecord[] = [
  record(),
  record({}, null, null),
  record({}, '', ''),
  record({ 'rt-id': 'a', empty: '', tenant: 'ä', 名前: '太郎 🦊' }),
  record({ long: 'x'.repeat(40), longer: 'x'.repeat(41), longest: 'ü'.repeat(9_000) }),
  record({ n63: 'x'.repeat(63), n64: 'x'.repeat(64), n65: 'é'.repeat(32) }, 'y'.repeat(200_000)),
  ...Array.from({ length: 200 }, (_, index) => record({ index: String(index) }, `${index}`)),
]

function written(records: readonly NewRecord[] = RECORDS): Buffer {
  const to = new ByteWriter(batchBound(records))
  writeBatch(to, records, { now: NOW, crcOf })
  return to.written
}

interface TheirRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer>>
}

test('kafkajs reads the batches that we write', async () => {
  const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object // of the version that is checked
  const read = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
    from: object,
  ) => Promise<{ readonly records: readonly TheirRecord[] }> // the same
  const { records } = await read(new Decoder(written()))
  const plain = records.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    record: {
      key,
      value,
      headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, text.toString()])),
    },
  }))
  expect(plain).toEqual(RECORDS.map((one, index) => ({ offset: String(index), timestamp: String(NOW), record: one })))
})

test('its checksum is that of what follows it', () => {
  const batch = written()
  expect(batch.readUInt32BE(17)).toBe(crcOf(batch.subarray(21)))
  expect(batch.readInt32BE(8)).toBe(batch.length - 12)
})

test('we read the batches that kafkajs writes, at any offset and time', async () => {
  const bytes = await theirBatch({ firstOffset: 5_000_000_000, compression: 0 })
  const { records = [], nextOffset } = readBatches(bytes) ?? {}
  expect(records.map(({ key, value, headers }) => ({ key, value, headers }))).toEqual(RECORDS)
  expect(records.map(({ offset }) => offset)).toEqual(RECORDS.map((_, index) => 5_000_000_000 + index))
  expect(records.map(({ timestamp }) => timestamp)).toEqual(RECORDS.map((_, index) => NOW + index))
  expect(nextOffset).toBe(5_000_000_000 + RECORDS.length)
})

test('the time of a record is that of its server, where it has noted one', () => {
  const batch = Buffer.from(written([record()]))
  batch.writeInt16BE(0x08, 21)
  batch.writeBigInt64BE(BigInt(NOW + 5_000), 35)
  expect(readBatches(batch)?.records).toMatchObject([{ timestamp: NOW + 5_000 }])
})

test('a batch that is cut off is read next time, at whatever byte', () => {
  const [whole, cut] = [written([record(), record()]), written([record({ a: 'b' })])]
  for (let length = 0; length < cut.length; length++) {
    const { records = [], nextOffset } = readBatches(Buffer.concat([whole, cut.subarray(0, length)])) ?? {}
    expect([length, records.length, nextOffset]).toEqual([length, 2, 2])
  }
  expect(readBatches(Buffer.alloc(0))).toEqual({ records: [], nextOffset: 0 })
})

test('marks of transactions are no records, and reading goes on behind them, and behind what was compacted away', () => {
  const mark = Buffer.from(written([record(), record()]))
  mark.writeInt16BE(0x30, 21)
  expect(readBatches(mark)).toEqual({ records: [], nextOffset: 2 })
  const compacted = Buffer.from(written([]))
  compacted.writeInt32BE(6, 23) // its last offset was that
  expect(readBatches(compacted)).toEqual({ records: [], nextOffset: 7 })
})

test('what is compressed, or older than Kafka 0.11, is left to kafkajs', async () => {
  expect(readBatches(await theirBatch({ firstOffset: 0, compression: 1 }))).toBeUndefined()
  const old = Buffer.from(written())
  old.writeInt8(1, 16)
  expect(readBatches(old)).toBeUndefined()
})

test('a header that comes twice counts as it comes last, and one that would be a prototype is left out', () => {
  const bytes = written([record({ same1: 'first', same2: 'last', ['__proto_1']: 'x' })])
  bytes.set(Buffer.from('same2'), bytes.indexOf('same1'))
  bytes.set(Buffer.from('__proto__'), bytes.indexOf('__proto_1'))
  const [read] = readBatches(bytes)?.records ?? []
  expect(read?.headers).toEqual({ same2: 'last' })
  expect(Object.getPrototypeOf(read?.headers)).toBe(Object.prototype)
})

test('bytes that are no records are an error, not an endless loop', () => {
  const bytes = Buffer.from(written([record({ a: 'b' })]))
  bytes.fill(0xff, 61)
  expect(() => readBatches(bytes)).toThrow(RangeError)
  for (const length of [48, 0, -12, -50, -(2 ** 31)]) {
    const batch = Buffer.from(written([record({ a: 'b' })]))
    batch.writeInt32BE(length, 8)
    expect(() => readBatches(batch)).toThrow(/shorter than its head/)
  }
  for (const length of [0x00, 0x01, 0x7f, 0x7e]) {
    const batch = Buffer.from(written([record({ a: 'b' })]))
    batch[61] = length // zigzag: 0, -1, -64, 63
    expect(() => readBatches(batch)).toThrow(/a length that cannot be/)
  }
})

test('a produce is what kafkajs writes of the same', async () => {
  const payload: ProducePayload = {
    acks: -1,
    timeout: 5_000,
    topicData: [
      {
        topic: 'a.é',
        partitions: [
          { partition: 0, messages: RECORDS },
          { partition: 7, messages: [record()] },
        ],
      },
      { topic: 'b', partitions: [{ partition: 1, messages: [record()] }] },
    ],
  }
  const { encode } = (
    require('kafkajs/src/protocol/requests/produce/v7/request') as (payload: object) => {
      readonly encode: () => Promise<{ readonly buffer: Buffer }>
    }
  )(payload) // of the version that is checked
  const [ours, theirs] = [produceCodec(crcOf).write?.(payload), (await encode()).buffer]
  expect(readProduce(ours ?? Buffer.alloc(0))).toEqual(readProduce(theirs))
})

test('a fetch is read as kafkajs reads it, and where it cannot be, not at all', async () => {
  const { decode } = require('kafkajs/src/protocol/requests/fetch/v11/response') as {
    readonly decode: (bytes: Buffer) => Promise<TheirFetch> // of the version that is checked
  }
  const bytes = fetchAnswer(written(), 0)
  const [ours, theirs] = [FETCH_CODEC.read?.(bytes) as FetchAnswer | undefined, await decode(bytes)]
  const ourParts = ours?.responses.flatMap(({ topicName, partitions }) =>
    partitions.map(({ partition, errorCode, lastStableOffset, plain }) => ({
      topicName,
      about: [partition, errorCode, Number(lastStableOffset)],
      offsets: plain?.records.map(({ offset }) => offset),
    })),
  )
  expect(ourParts).toEqual(
    theirs.responses.flatMap(({ topicName, partitions }) =>
      partitions.map(({ partition, errorCode, lastStableOffset, messages }) => ({
        topicName,
        about: [partition, errorCode, Number(lastStableOffset)],
        offsets: messages.map(({ offset }) => Number(offset)),
      })),
    ),
  )
  expect(ours).toMatchObject({ clientSideThrottleTime: theirs.clientSideThrottleTime })
  expect(FETCH_CODEC.read?.(fetchAnswer(written(), 1))).toBeUndefined()
})

interface TheirFetch {
  readonly clientSideThrottleTime: number
  readonly responses: readonly {
    readonly topicName: string
    readonly partitions: readonly {
      readonly partition: number
      readonly errorCode: number
      readonly lastStableOffset: string
      readonly messages: readonly TheirRecord[]
    }[]
  }[]
}

async function theirBatch({ firstOffset, compression }: { firstOffset: number; compression: number }): Promise<Buffer> {
  const writeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => object // of the version that is checked
  const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
    RecordBatch: (batch: object) => Promise<{ readonly buffer: Buffer }> // the same
  }
  const Long = require('kafkajs/src/utils/long') as { fromNumber(value: number): object } // the same
  const { buffer } = await RecordBatch({
    compression,
    firstOffset: Long.fromNumber(firstOffset),
    firstTimestamp: NOW,
    maxTimestamp: NOW + RECORDS.length,
    lastOffsetDelta: RECORDS.length - 1,
    records: RECORDS.map((one, index) => writeRecord({ ...one, offsetDelta: index, timestampDelta: index })),
  })
  return buffer
}

function readProduce(bytes: Buffer): unknown {
  const from = new ByteReader(bytes)
  const readPart = () => {
    const partition = from.int32()
    const { records = [], nextOffset } = readBatches(from.bytes32()) ?? {}
    return { partition, nextOffset, records: records.map((one) => ({ ...one, timestamp: 0 })) }
  }
  return {
    transaction: from.int16(),
    acks: from.int16(),
    timeout: from.int32(),
    topics: from.list(() => ({ topic: from.string(), partitions: from.list(readPart) })),
    isAll: from.at === bytes.length,
  }
}

/** Of two topics with two partitions each: one has these records, one nothing, one an error. */
function fetchAnswer(records: Buffer, aborted: number): Buffer {
  const to = new ByteWriter(records.length + 1_000)
  const partition = (number: number, error: number, content: Buffer): void => {
    to.int32(number)
    to.int16(error)
    for (const offset of [900, 800, 1]) to.int64(offset)
    to.int32(aborted)
    for (let left = aborted; left > 0; left--) for (const number64 of [7, 0]) to.int64(number64)
    to.int32(-1)
    to.int32(content.length)
    to.at += content.copy(to.bytes, to.at)
  }
  to.int32(11)
  to.int16(0)
  to.int32(0)
  to.int32(2)
  to.string('a')
  to.int32(2)
  partition(0, 0, records)
  partition(1, 0, Buffer.alloc(0))
  to.string('b.ü')
  to.int32(2)
  partition(4, 3, Buffer.alloc(0))
  partition(5, 0, records)
  return to.written
}
