import { HEADER, isHighPriority } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import type { AdapterContext, DeadLetterReason, PublishOutcome } from '../adapter.ts'
import { declareDelay } from './declare.ts'
import { DUE_HEADER, nextBucketMs } from './delays.ts'
import type { Session } from './dial.ts'
import { letterHeaders } from './letter-headers.ts'
import { requestProperties } from './properties.ts'
import type { Publisher } from './publisher.ts'
import { delayExchange, MAX_TTL_MS, type WorkQueue } from './topology.ts'

/** Puts requests where they belong, in one session. Every outcome as `Publisher.publish` tells it. */
export interface Storing {
  /** In its lane, or on the way to it while its delay lasts. */
  store(queue: WorkQueue, message: Message): Promise<PublishOutcome>
  /** The rest of a delay: due at that time, epoch ms. */
  delay(lane: string, message: Message, dueAt: number): Promise<PublishOutcome>
  bury(queue: WorkQueue, message: Message, why: DeadLetterReason): Promise<PublishOutcome>
  /** Of an owner of a partition, for itself and the next one: in the queue of that name. */
  note(queueName: string, id: string, body: Uint8Array): Promise<PublishOutcome>
}

export function createStoring(
  session: Session,
  publisher: Publisher,
  { namespace, log, now }: Pick<AdapterContext, 'namespace' | 'log' | 'now'>,
): Storing {
  const rungs = new Map<number, Promise<void>>()

  function rung(bucketMs: number): Promise<void> {
    const ready = rungs.get(bucketMs) ?? declareDelay(session, namespace, bucketMs, log)
    rungs.set(bucketMs, ready)
    return ready
  }

  async function delay(lane: string, message: Message, dueAt: number): Promise<PublishOutcome> {
    const properties = requestProperties(message, { ...message.headers, [DUE_HEADER]: String(dueAt) })
    const bucketMs = nextBucketMs(dueAt - now())
    if (bucketMs === undefined) return publisher.publish({ key: lane }, message.body, properties)
    try {
      await rung(bucketMs)
    } catch (error) {
      rungs.delete(bucketMs)
      return { status: 'notSent', reason: `the delay of ${bucketMs} ms could not be declared: ${String(error)}` }
    }
    const route = { exchange: delayExchange(namespace, bucketMs), key: lane }
    const outcome = await publisher.publish(route, message.body, properties)
    if (outcome.status !== 'stored') rungs.delete(bucketMs) // somebody may have deleted it
    return outcome
  }

  return {
    async store(queue, message) {
      const lane = laneOf(queue, message.headers)
      if (message.delayMs !== undefined && message.delayMs > 0)
        return delay(lane, message, Math.ceil(now() + message.delayMs))
      const properties = requestProperties(message)
      if (message.expiresInMs !== undefined)
        properties.expiration = Math.min(Math.max(0, Math.ceil(message.expiresInMs)), MAX_TTL_MS)
      return publisher.publish({ key: lane }, message.body, properties)
    },
    delay,
    bury: (queue, message, why) =>
      publisher.publish(
        { key: queue.dead },
        message.body,
        requestProperties(message, letterHeaders(message.headers, why, now())),
      ),
    note: (queueName, id, body) =>
      publisher.publish({ key: queueName }, body, {
        messageId: id,
        contentType: 'application/json',
        persistent: true,
        mandatory: true,
      }),
  }
}

/** A key goes before all else: its messages must keep their order. */
export function laneOf({ name, solo, high, partitions }: WorkQueue, headers: Message['headers']): string {
  const key = headers[HEADER.key]
  if (key !== undefined && partitions.length > 0) return partitions[hashOf(key) % partitions.length] ?? name
  if (headers[HEADER.solo]) return solo // empty: not any more
  return high !== undefined && isHighPriority(headers) ? high : name
}

/** FNV-1a over UTF-8: every process, in any language, must find the same partition. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}
