import type { AdapterContext } from '../adapter.ts'
import { BUCKETS_MS, bucketFor, SHORT_MS } from './delays.ts'
import type { Session } from './dial.ts'
import { nameOfError } from './failures.ts'
import { placeOf } from './hash.ts'
import { isPurged, readDelayPurges, type DelayPurges } from './delay-purges.ts'
import { createMembership, type Membership } from './membership.ts'
import { createReading, type Reading } from './reading.ts'
import { timesOf } from './records.ts'
import { TARGET_HEADER } from './storing.ts'
import type { Topics } from './topics.ts'
import type { Fetched, NewRecord, Place, StoredRecord, Wire } from './wire.ts'

/** Brings what has waited long enough in the delay topic on its way. Those who consume share the work. */
export interface Forwarder {
  /** Somebody has purged what is delayed. */
  lookForPurge(): void
  end(): Promise<void>
}

interface ForwarderOptions {
  readonly session: Session
  /** The group has the name of the topic of delays. */
  readonly topics: Topics
  readonly sessionMs: number
  readonly context: Pick<AdapterContext, 'now' | 'log'>
}

interface Bucket extends Place {
  /** Where reading goes on. */
  next: number
  readonly waiting: StoredRecord[]
  isBusy: boolean
}

const WAIT_MS = 1_000
const AGAIN_MS = 200
const READ_AHEAD = 1_000
/** Of a bucket's first ones so many go together. */
const AT_ONCE = 200

export function startForwarder({ session, topics, sessionMs, context }: ForwarderOptions): Forwarder {
  const { topic } = topics.delay
  const wire: Wire = session.open('delays')
  const group = wire.group(topic)
  const buckets = new Map<number, Bucket>()
  let purges: DelayPurges = new Map()
  let generation = 0
  let timer: NodeJS.Timeout | undefined
  let isOver = false

  const reading: Reading = createReading({
    wire,
    wanted: () => {
      const open = [...buckets.values()].filter(({ waiting }) => waiting.length < READ_AHEAD)
      return { positions: open.map(({ partition, next }) => ({ topic, partition, offset: next })), waitMs: WAIT_MS }
    },
    onFetched: take,
    onOutOfRange: ({ partition }) => void findStart(partition),
    // Whoever delays something makes it again.
    onGone: ({ partition }) => void findStart(partition),
    onTrouble: (level, reason) => context.log(level, 'KAFKA_DELAYS', `${topic}: ${reason}`),
  })
  const membership: Membership = createMembership({
    group,
    sessionMs,
    introduce: () => ({
      topics: [topic],
      generation,
      owned: Array.from(buckets.values(), ({ partition }) => ({ topic, partition, held: 0, isForOthers: false })),
      mode: 'active',
    }),
    partitionsOf: async () => new Map([[topic, (await wire.topic(topic))?.partitions ?? 0]]),
    onPart: ({ places }, now) => void become(places, now),
    onLost: () => buckets.clear(),
    beforeSharing: () => Promise.resolve(),
    onTrouble: (reason) =>
      context.log('error', 'KAFKA_DELAYS', `${topic} cannot be consumed, so no delay ends: ${reason}`),
  })

  async function become(part: readonly Place[], now: number): Promise<void> {
    generation = now
    const wanted = new Set(part.map(({ partition }) => partition))
    for (const partition of buckets.keys()) if (!wanted.has(partition)) buckets.delete(partition)
    const news = part.filter(({ partition }) => !buckets.has(partition))
    while (news.length > 0 && !isOver && generation === now) {
      try {
        const committed = await session.main.committed(topic, news)
        const first = await session.main.offsets(news, 'earliest')
        purges = await readDelayPurges(session, topics)
        if (generation !== now) return
        for (const [index, { partition, offset }] of committed.entries())
          buckets.set(partition, {
            topic,
            partition,
            next: Math.max(offset, first[index] ?? 0),
            waiting: [],
            isBusy: false,
          })
        return reading.wake()
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
  }

  async function findStart(partition: number): Promise<void> {
    const bucket = buckets.get(partition)
    buckets.delete(partition)
    if (bucket !== undefined) await become([{ topic, partition }, ...buckets.values()], generation)
  }

  function take({ partition, from, records, nextOffset }: Fetched): void {
    const bucket = buckets.get(partition)
    // Of a bucket that was gone and came back an answer may be on its way that is of the time before.
    if (bucket === undefined || from > bucket.next) return
    for (const record of records) if (record.offset >= bucket.next) bucket.waiting.push(record)
    bucket.next = Math.max(bucket.next, nextOffset)
    look()
  }

  /** Each bucket is in the order in which it is due. */
  function look(): void {
    clearTimeout(timer)
    let soonest = Infinity
    for (const bucket of buckets.values()) {
      if (bucket.isBusy) continue
      const now = context.now()
      const count = bucket.waiting.findIndex((record) => hopEndsAt(bucket, record) > now)
      const due = bucket.waiting.slice(0, Math.min(count < 0 ? bucket.waiting.length : count, AT_ONCE))
      const [first] = bucket.waiting
      if (due.length > 0) void forward(bucket, due)
      else if (first !== undefined) soonest = Math.min(soonest, hopEndsAt(bucket, first) - now)
    }
    if (soonest < Infinity && !isOver) timer = setTimeout(look, Math.max(1, Math.min(soonest, 60_000)))
  }

  /** It has waited as long as its bucket says, or is due earlier, as its publisher's clock was late. */
  function hopEndsAt({ partition }: Bucket, record: StoredRecord): number {
    const hopMs = BUCKETS_MS[partition] ?? 0
    return Math.min(record.timestamp + hopMs, Math.max(record.timestamp, timesOf(record).dueAt - SHORT_MS / 2))
  }

  /** Stored where they go before they count as gone from here: in between they may go twice. */
  async function forward(bucket: Bucket, due: readonly StoredRecord[]): Promise<void> {
    bucket.isBusy = true
    try {
      const outcomes = await Promise.all(due.map((record) => forwardOne(record, bucket.partition)))
      const failed = outcomes.indexOf(false)
      const done = due.slice(0, failed < 0 ? due.length : failed)
      const last = done.at(-1)
      bucket.waiting.splice(0, done.length)
      const member = membership.current()
      if (last !== undefined && member !== undefined)
        await group.commit(member, [{ topic, partition: bucket.partition, offset: last.offset + 1, metadata: '' }])
      if (failed >= 0) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    } catch (error) {
      context.log('debug', 'KAFKA_DELAYS', `${topic}: ${nameOfError(error)}`)
    }
    bucket.isBusy = false
    look()
    reading.wake()
  }

  async function forwardOne(record: StoredRecord, from: number): Promise<boolean> {
    const { [TARGET_HEADER]: target, ...headers } = record.headers
    if (target === undefined) return true // a stranger's, which goes nowhere
    if (isPurged(purges, { target, bucket: from, offset: record.offset })) return true
    const remainingMs = timesOf(record).dueAt - context.now()
    const bucket = bucketFor(remainingMs)
    if (bucket !== undefined)
      return (await session.producer.append({ topic, partition: bucket }, copyOf(record))).status === 'stored'
    try {
      const facts = await session.main.topic(target)
      if (facts === undefined) {
        context.log('warn', 'KAFKA_DELAYS', `topic ${target} is gone, and a message that waited for its time with it`)
        return true
      }
      // By its key, where it has one; in a queue that is not keyed that does no harm.
      const partition =
        record.key === null ? record.offset % facts.partitions : placeOf(record.key.toString(), facts.partitions)
      const { status } = await session.producer.append({ topic: target, partition }, { ...copyOf(record), headers })
      return status === 'stored'
    } catch {
      return false
    }
  }

  return {
    lookForPurge() {
      readDelayPurges(session, topics).then(
        (found) => (purges = found),
        () => {}, // away: it is read again with the next part
      )
    },
    async end() {
      isOver = true
      clearTimeout(timer)
      reading.end()
      await membership.leave()
      session.close(wire)
    },
  }
}

function copyOf({ key, value, headers }: StoredRecord): NewRecord {
  return { key, value, headers }
}
