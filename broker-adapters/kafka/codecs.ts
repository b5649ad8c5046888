import type { FetchAnswer } from './answers.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { batchBound, readBatches, writeBatch } from './record-batch.ts'
import type { NewRecord } from './wire.ts'

// The two messages of the protocol that carry records, in the versions whose form is that of today. The others, and what cannot be
// read here, are kafkajs's: https://kafka.apache.org/protocol#The_Messages_Produce, #The_Messages_Fetch

/** Both numbers are versions of the message: the first and the last one that is written or read. */
export interface Codec<Payload> {
  readonly versions: readonly [number, number]
  readonly write?: (payload: Payload) => Buffer
  /** Undefined: it is in a form that is not read here. */
  readonly read?: (bytes: Buffer) => object | undefined
}

export interface ProducePayload {
  readonly acks: number
  readonly timeout: number
  readonly topicData: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly messages: readonly NewRecord[] }[]
  }[]
}

/** Produce => transactional_id:string acks:int16 timeout:int32 [topic:string [partition:int32 records:bytes]] */
export function produceCodec(crcOf: (bytes: Buffer) => number): Codec<ProducePayload> {
  return {
    versions: [3, 7],
    write(payload) {
      const { acks, timeout, topicData } = payload
      const to = new ByteWriter(produceBound(payload))
      const batchOptions = { now: Date.now(), crcOf }
      to.int16(NO_STRING)
      to.int16(acks)
      to.int32(timeout)
      to.int32(topicData.length)
      for (const { topic, partitions } of topicData) {
        to.string(topic)
        to.int32(partitions.length)
        for (const { partition, messages } of partitions) {
          to.int32(partition)
          const from = to.at
          to.int32(0) // the length, known at the end
          writeBatch(to, messages, batchOptions)
          to.bytes.writeInt32BE(to.at - from - 4, from)
        }
      }
      return to.written
    },
  }
}

const NO_STRING = -1

function produceBound({ topicData }: ProducePayload): number {
  let bytes = 2 + 2 + 4 + 4
  for (const { topic, partitions } of topicData) {
    bytes += 2 + 3 * topic.length + 4
    for (const { messages } of partitions) bytes += 4 + 4 + batchBound(messages)
  }
  return bytes
}

/**
 * Fetch => throttle_ms:int32 error:int16 session:int32 [topic:string [partition]]; partition => partition:int32 error:int16
 * high_watermark:int64 last_stable_offset:int64 log_start_offset:int64 [producer:int64 first_offset:int64] replica:int32 records:bytes
 */
export const FETCH_CODEC: Codec<object> = { versions: [11, 11], read: readFetch }

function readFetch(bytes: Buffer): (FetchAnswer & { readonly clientSideThrottleTime: number }) | undefined {
  const from = new ByteReader(bytes)
  const clientSideThrottleTime = from.int32()
  from.skip(2 + 4) // of a fetch session, which is not asked for
  const responses = []
  for (let topics = from.int32(); topics > 0; topics--) {
    const topicName = from.string()
    const partitions = []
    for (let left = from.int32(); left > 0; left--) {
      const partition = readPartition(from)
      if (partition === undefined) return undefined
      partitions.push(partition)
    }
    responses.push({ topicName, partitions })
  }
  return { clientSideThrottleTime, responses }
}

type PartitionAnswer = FetchAnswer['responses'][number]['partitions'][number]

function readPartition(from: ByteReader): PartitionAnswer | undefined {
  const partition = from.int32()
  const errorCode = from.int16()
  from.skip(8)
  const lastStableOffset = from.int64()
  from.skip(8)
  if (from.int32() > 0) return undefined // transactions that were given up
  from.skip(4)
  const plain = readBatches(from.bytes32())
  return plain && { partition, errorCode, lastStableOffset, plain }
}
