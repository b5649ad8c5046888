import type { Library, RawRecord } from './library.ts'
import { protocolError } from './places.ts'
import type { PlainRecords } from './record-batch.ts'
import type { Fetched, Place, Position, StoredRecord } from './wire.ts'

// What the server answers, as far as it is used: https://kafka.apache.org/protocol#protocol_messages

export interface MetadataAnswer {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[]
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number
    readonly topic: string
    readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[]
  }[]
}

export interface ProduceAnswer {
  readonly topics: readonly {
    readonly topicName: string
    readonly partitions: readonly {
      readonly partition: number
      readonly errorCode: number
      readonly baseOffset: string
      readonly logAppendTime: string
    }[]
  }[]
}

export interface FetchAnswer {
  readonly responses: readonly {
    readonly topicName: string
    readonly partitions: readonly {
      readonly partition: number
      readonly errorCode: number
      readonly lastStableOffset: string | number
      /** As codecs.ts reads it. */
      readonly plain?: PlainRecords
      /** As kafkajs does. */
      readonly messages?: readonly RawRecord[]
      readonly abortedTransactions?: readonly unknown[] | null
    }[]
  }[]
}

export interface OffsetsAnswer {
  readonly responses: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: string }[]
  }[]
}

export function fetchedOf(library: Library, position: Position, { responses }: FetchAnswer): Fetched {
  const { topic, partition, offset } = position
  const found = responses
    .find(({ topicName }) => topicName === topic)
    ?.partitions.find((part) => part.partition === partition)
  const nothing = { topic, partition, from: offset, records: [], nextOffset: offset, end: offset }
  if (found === undefined) return { ...nothing, error: 'NO_ANSWER' }
  const error = library.errorName(found.errorCode)
  if (error !== undefined) return { ...nothing, error }
  const { records, nextOffset } = found.plain ?? plainOf(library, found.messages ?? [], found.abortedTransactions ?? [])
  return {
    topic,
    partition,
    from: offset,
    error,
    // What is read begins with a batch, and that may begin before the offset.
    records: records.filter((record) => record.offset >= offset),
    nextOffset: Math.max(offset, nextOffset),
    end: Number(found.lastStableOffset),
  }
}

function plainOf(library: Library, messages: readonly RawRecord[], aborted: readonly unknown[]): PlainRecords {
  const records = library
    .withoutAborted(messages, aborted)
    .filter(({ isControlRecord }) => !isControlRecord)
    .map(recordOf)
  return { records, nextOffset: messages.reduce((next, { offset }) => Math.max(next, Number(offset) + 1), 0) }
}

function recordOf({ offset, timestamp, key, value, headers }: RawRecord): StoredRecord {
  const texts: Record<string, string> = {}
  for (const name in headers) {
    if (name === '__proto__') continue
    const content = headers[name]
    // A header that comes several times counts as it comes last.
    const last = Array.isArray(content) ? (content as readonly Buffer[]).at(-1) : content
    texts[name] = last instanceof Buffer ? last.toString('utf8') : ''
  }
  return { offset: Number(offset), timestamp: Number(timestamp), key, value, headers: texts }
}

export function offsetOf(
  library: Library,
  place: Place,
  { responses }: OffsetsAnswer,
  forget: (topic: string) => void,
): number {
  const found = responses
    .find(({ topic }) => topic === place.topic)
    ?.partitions.find(({ partition }) => partition === place.partition)
  const error = library.errorName(found?.errorCode ?? 0)
  if (error !== undefined) forget(place.topic)
  if (error !== undefined || found === undefined)
    throw protocolError(error ?? 'NO_ANSWER', `partition ${place.partition} of ${place.topic}`)
  return Number(found.offset)
}
