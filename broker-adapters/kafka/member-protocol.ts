import { messageOf } from '../../protocol/errors.ts'
import type { MemberFacts, Part } from './assigner.ts'
import { ByteReader } from './bytes.ts'
import type { Place } from './wire.ts'

// What members and the one that leads write to each other, in the form of Kafka's own consumers, so that its tools can show it:
// https://kafka.apache.org/protocol#protocol_messages (ConsumerProtocolSubscription, ConsumerProtocolAssignment, version 0).
// Subscription => version:int16 topics:[string] user_data:bytes; Assignment => version:int16 [topic:string [partition:int32]] user_data:bytes

/** Members of other protocols do not get into the group. */
export const PROTOCOL = 'replyto-1'
const VERSION_BYTES = 2

export function writeFacts(facts: MemberFacts): Buffer {
  const { topics, ...rest } = facts
  return Buffer.concat([int16(0), list(topics.map(string)), bytes(Buffer.from(JSON.stringify(rest)))])
}

/** @throws Error for what no member of ours wrote */
export function readFacts(metadata: Buffer): MemberFacts {
  const reader = new ByteReader(metadata)
  reader.skip(VERSION_BYTES)
  const topics = reader.list(() => reader.string())
  try {
    const rest = JSON.parse(reader.bytes32().toString()) as Omit<MemberFacts, 'topics'> // written by `writeFacts`
    return { ...rest, topics }
  } catch (error) {
    throw new Error(`a member's metadata cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

export function writePart({ places, drying }: Part): Buffer {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of places) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  const entries = Array.from(topics, ([topic, partitions]) =>
    Buffer.concat([string(topic), list(partitions.map(int32))]),
  )
  return Buffer.concat([int16(0), list(entries), bytes(Buffer.from(JSON.stringify(drying)))])
}

/** Empty: this member got nothing. */
export function readPart(assignment: Buffer): Part {
  if (assignment.length < VERSION_BYTES) return { places: [], drying: [] }
  const reader = new ByteReader(assignment)
  reader.skip(VERSION_BYTES)
  const topics = reader.list(() => {
    const topic = reader.string()
    return reader.list(() => ({ topic, partition: reader.int32() }))
  })
  const drying = JSON.parse(reader.bytes32().toString()) as readonly Place[] // written by `writePart`
  return { places: topics.flat(), drying }
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2)
  buffer.writeInt16BE(value)
  return buffer
}
function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}
function string(text: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)])
}
function bytes(content: Buffer): Buffer {
  return Buffer.concat([int32(content.length), content])
}
function list(items: readonly Buffer[]): Buffer {
  return Buffer.concat([int32(items.length), ...items])
}
