import type { QueueStats } from '../adapter.ts'
import { countsOf, withChannel } from './channels.ts'
import { BUCKETS_MS } from './delays.ts'
import type { Session } from './dial.ts'
import { isMissing } from './failures.ts'
import type { HeldCounts } from './held-counts.ts'
import { delayExchange, linesOf, type WorkQueue } from './topology.ts'

/** What passive declarations and the consumers tell; not what is delayed, as the ladder serves all queues. */
export async function readStats(
  session: Session,
  queue: WorkQueue,
  { isPaused, held }: { readonly isPaused: boolean; readonly held: HeldCounts },
): Promise<QueueStats> {
  const lanes = await Promise.all(linesOf(queue).map((lane) => countsOf(session, lane)))
  const [main, idle, dead] = await Promise.all(
    [queue.name, queue.idle, queue.dead].map((name) => countsOf(session, name)),
  )
  const consumers = (main?.consumers ?? 0) + (idle?.consumers ?? 0)
  const counted = await held.ask(queue, consumers)
  return {
    ready: lanes.reduce((sum, lane) => sum + (lane?.ready ?? 0), counted?.waiting ?? 0),
    dead: dead?.ready ?? 0,
    consumers,
    delayed: undefined,
    active: counted?.active,
    isPaused,
  }
}

export async function purgeReady(session: Session, queue: WorkQueue): Promise<number> {
  let count = 0
  for (const lane of linesOf(queue)) count += await purgeQueue(session, lane)
  return count
}

export async function purgeDead(session: Session, queue: WorkQueue): Promise<number> {
  return purgeQueue(session, queue.dead)
}

async function purgeQueue(session: Session, name: string): Promise<number> {
  try {
    return (await withChannel(session, (channel) => channel.purgeQueue(name))).messageCount
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}

/**
 * Looks through the ladder, which serves all queues of the namespace: each message is taken, and given back if it is for
 * another queue. What is due meanwhile goes on when it is given back.
 */
export async function purgeDelayed(session: Session, namespace: string, queue: WorkQueue): Promise<number> {
  const lanes = new Set(linesOf(queue))
  let count = 0
  for (const bucketMs of BUCKETS_MS) {
    const bucket = delayExchange(namespace, bucketMs)
    const waiting = (await countsOf(session, bucket))?.ready ?? 0
    if (waiting > 0) count += await purgeBucket(session, bucket, lanes)
  }
  return count
}

function purgeBucket(session: Session, bucket: string, lanes: ReadonlySet<string>): Promise<number> {
  return withChannel(session, async (channel) => {
    let count = 0
    for (;;) {
      const raw = await channel.get(bucket)
      if (raw === false) return count // closing the channel gives back what is not acked
      if (!lanes.has(raw.fields.routingKey)) continue
      channel.ack(raw)
      count++
    }
  })
}
