import type { Session } from './dial.ts'
import { protocolError } from './places.ts'
import { readAll } from './read-all.ts'
import { TARGET_HEADER } from './storing.ts'
import { ensureTopics, lanesOf, partitionsOf, type Topics, type WorkQueue } from './topics.ts'

// What is delayed lies with that of all other queues of a namespace, and a record cannot be taken out. So it is noted in a topic beside it up to
// where nothing of a queue is wanted any more, and whoever brings delays on their way passes over that.

/** Of each work topic, per bucket: what lies before this offset is not wanted any more. */
export type DelayPurges = ReadonlyMap<string, readonly number[]>

interface PurgeNote {
  readonly targets: readonly string[]
  readonly before: readonly number[]
}

const PLACE = { partition: 0 }

export async function readDelayPurges({ main }: Session, topics: Topics): Promise<DelayPurges> {
  const purges = new Map<string, readonly number[]>()
  const { topic } = topics.delayPurges
  if ((await main.topic(topic)) === undefined) return purges
  for await (const { value } of readAll(main, { topic, ...PLACE })) {
    const note = readNote(value)
    for (const target of note?.targets ?? []) purges.set(target, note?.before ?? [])
  }
  return purges
}

/** Undefined: a stranger's. */
function readNote(value: Buffer | null): PurgeNote | undefined {
  try {
    const note: unknown = JSON.parse(value?.toString('utf8') ?? '')
    return isNote(note) ? note : undefined
  } catch {
    return undefined
  }
}

function isNote(note: unknown): note is PurgeNote {
  if (typeof note !== 'object' || note === null || !('targets' in note) || !('before' in note)) return false
  return Array.isArray(note.targets) && Array.isArray(note.before)
}

export function isPurged(
  purges: DelayPurges,
  { target, bucket, offset }: { readonly target: string; readonly bucket: number; readonly offset: number },
): boolean {
  return offset < (purges.get(target)?.[bucket] ?? 0)
}

/** How many are not wanted any more. */
export async function purgeDelayed(session: Session, topics: Topics, queue: WorkQueue): Promise<number> {
  const { main, producer } = session
  const { topic } = topics.delay
  const facts = await main.topic(topic)
  if (facts === undefined) return 0
  const buckets = partitionsOf(topic, facts)
  const targets = lanesOf(queue)
  const purges = await readDelayPurges(session, topics)
  const [committed, ends] = await Promise.all([main.committed(topic, buckets), main.offsets(buckets, 'latest')])
  let count = 0
  for (const [bucket, place] of buckets.entries()) {
    const range = { from: Math.max(0, committed[bucket]?.offset ?? 0), to: ends[bucket] }
    for await (const { headers, offset } of readAll(main, place, range)) {
      const target = headers[TARGET_HEADER] ?? ''
      if (targets.includes(target) && !isPurged(purges, { target, bucket, offset })) count++
    }
  }
  await ensureTopics(main, [topics.delayPurges])
  const note: PurgeNote = { targets, before: ends }
  const record = { key: null, value: Buffer.from(JSON.stringify(note)), headers: {} }
  const appended = await producer.append({ topic: topics.delayPurges.topic, ...PLACE }, record)
  if (appended.status !== 'stored') throw protocolError(appended.error, `writing to ${topics.delayPurges.topic}`)
  return count
}
