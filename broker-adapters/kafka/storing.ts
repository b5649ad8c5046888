import { randomInt } from 'node:crypto'
import { HEADER, isHighPriority } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import type { AdapterContext, PublishOutcome } from '../adapter.ts'
import { bucketFor, SHORT_MS } from './delays.ts'
import type { Session } from './dial.ts'
import { GRANT, isDenied, isTooLarge, nameOfError, shortOf } from './failures.ts'
import { placeOf } from './hash.ts'
import { requestRecord, sizeOf } from './records.ts'
import { ensureTopics, type Topics, type WorkQueue } from './topics.ts'
import type { Appended, NewRecord, Place } from './wire.ts'

/** Storing in queues, over one session. */
export interface Storing {
  /** One outcome per message, in order; never rejects. */
  storeAll(queue: WorkQueue, messages: readonly Message[]): Promise<readonly PublishOutcome[]>
  store(queue: WorkQueue, message: Message): Promise<PublishOutcome>
}

interface StoringParts {
  readonly session: Session
  readonly topics: Topics
  readonly maxMessageBytes: number
  /** For how long a work topic that we make keeps what waits. */
  readonly retentionMs: number
  readonly context: Pick<AdapterContext, 'now' | 'log'>
  /** There is something that waits now: whoever consumes is to see to it. */
  readonly onDelayed: () => void
}

/** Where it goes when its delay is over; only on the way. */
export const TARGET_HEADER = 'rt-target'
/** Around a body and its headers. */
const MARGIN_BYTES = 8_000

export function createStoring({
  session,
  topics,
  maxMessageBytes,
  retentionMs,
  context,
  onDelayed,
}: StoringParts): Storing {
  const { main, producer } = session
  const { now } = context
  /** Of these it was said that their topic may keep less than is waited for. */
  const warned = new Set<string>()
  /** Where the next message without a key goes: everybody begins somewhere else. */
  let turn = randomInt(10_000)

  async function store(
    queue: WorkQueue,
    message: Message,
    partition: (count: number) => number,
  ): Promise<PublishOutcome> {
    if (!session.isOpen) return { status: 'notSent' }
    if (message.body.byteLength > maxMessageBytes)
      return { status: 'tooLarge', reason: `it takes ${maxMessageBytes} bytes at most` }
    try {
      const topic = laneOf(queue, message)
      const facts = await main.topic(topic)
      if (facts === undefined) return { status: 'unroutable', reason: `there is no topic ${topic}` }
      const { delayMs = 0, expiresInMs } = message
      if (expiresInMs !== undefined && expiresInMs > retentionMs) warnOfWait(topic, expiresInMs)
      const at = now()
      const record = requestRecord(message, {
        dueAt: delayMs > 0 ? at + delayMs : undefined,
        expiresAt: expiresInMs === undefined || delayMs > 0 ? undefined : at + expiresInMs,
      })
      if (sizeOf(record) > maxMessageBytes + MARGIN_BYTES)
        return { status: 'tooLarge', reason: `it takes ${maxMessageBytes} bytes at most, with its headers` }
      const bucket = delayMs >= SHORT_MS ? bucketFor(delayMs) : undefined
      if (bucket !== undefined) return await delay(topic, record, bucket)
      const place = { topic, partition: partitionFor(queue, message, facts.partitions) ?? partition(facts.partitions) }
      return outcomeOf(await producer.append(place, record), topic)
    } catch (error) {
      return { status: 'notSent', reason: `${shortOf(error)} (${nameOfError(error)})` }
    }
  }

  function warnOfWait(topic: string, waitMs: number): void {
    if (warned.has(topic)) return
    warned.add(topic)
    context.log(
      'warn',
      'KAFKA_RETENTION',
      `what is published to ${topic} may wait for ${waitMs} ms, and is kept for ${retentionMs} ms: kafka({ retentionMs }) and retention.ms of the topic are to be longer`,
    )
  }

  async function delay(topic: string, record: NewRecord, bucket: number): Promise<PublishOutcome> {
    const wanted = topics.delay
    await ensureTopics(main, [wanted])
    const place: Place = { topic: wanted.topic, partition: bucket }
    const appended = await producer.append(place, { ...record, headers: { ...record.headers, [TARGET_HEADER]: topic } })
    if (appended.status === 'stored') onDelayed()
    return outcomeOf(appended, wanted.topic)
  }

  return {
    /** Those without a key in as many pieces as there are partitions: a few go far apart, many in large batches. */
    storeAll(queue, messages) {
      const first = turn
      turn += messages.length
      return Promise.all(
        messages.map((message, index) =>
          store(queue, message, (count) => {
            const each = Math.ceil(messages.length / count)
            return (first + Math.floor(index / each)) % count
          }),
        ),
      )
    },
    store: (queue, message) => store(queue, message, (count) => turn++ % count),
  }
}

/** What has a key keeps its order, also before what is urgent. */
function laneOf(queue: WorkQueue, { headers }: Message): string {
  const isInOrder = queue.isKeyed && headers[HEADER.key] !== undefined
  return queue.high !== undefined && !isInOrder && isHighPriority(headers) ? queue.high : queue.name
}

/** Undefined: any of them. */
export function partitionFor(
  { isKeyed }: Pick<WorkQueue, 'isKeyed'>,
  { headers }: Pick<Message, 'headers'>,
  partitions: number,
): number | undefined {
  const key = isKeyed ? headers[HEADER.key] : undefined
  return key === undefined ? undefined : placeOf(key, partitions)
}

function outcomeOf(appended: Appended, topic: string): PublishOutcome {
  const { status } = appended
  if (status === 'stored') return { status }
  const { error, reason } = appended
  if (status === 'unknown') return { status, reason }
  if (error === 'UNKNOWN_TOPIC_OR_PARTITION') return { status: 'unroutable', reason }
  if (isTooLarge(error)) return { status: 'tooLarge', reason }
  if (isDenied(error)) return { status: 'refused', reason: `${reason} for ${topic}; ${GRANT}` }
  if (error === 'POLICY_VIOLATION') return { status: 'refused', reason }
  // As a rule it is compacted, and takes nothing without a key then.
  if (error === 'INVALID_RECORD')
    return { status: 'refused', reason: `${reason} for ${topic}; it must not be compacted: cleanup.policy=delete` }
  return { status: 'notSent', reason }
}
