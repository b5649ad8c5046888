import type { QueueStats } from '../adapter.ts'
import type { Session } from './dial.ts'
import { countLetters } from './letters.ts'
import { lanesOf, partitionsOf, type WorkQueue } from './topics.ts'
import { readLegacy, type Legacy } from './window.ts'
import type { Place, Position } from './wire.ts'

/** What waits and what is at work, as it was last committed. */
export async function readStats(session: Session, queue: WorkQueue): Promise<QueueStats> {
  const [counts, dead, consumers, isPaused] = await Promise.all([
    countWork(session, queue),
    countLetters(session, queue),
    session.main.members(queue.name),
    isPausedForAll(session, queue),
  ])
  return { ready: counts.ready, active: counts.out, dead, consumers, delayed: undefined, isPaused }
}

/** A queue is paused while a topic of this name is there. */
export async function isPausedForAll({ main }: Session, { paused }: WorkQueue): Promise<boolean> {
  main.forget(paused)
  return (await main.topic(paused)) !== undefined
}

/** Takes what waits out of the partitions. What is handed out stays with whoever has it. */
export async function purgeReady(session: Session, queue: WorkQueue): Promise<number> {
  const { ready, ends } = await countWork(session, queue)
  await session.main.deleteRecords(ends)
  return ready
}

interface Counts {
  readonly ready: number
  readonly out: number
  readonly ends: readonly Position[]
}

async function countWork({ main }: Session, queue: WorkQueue): Promise<Counts> {
  const places: Place[] = []
  for (const topic of lanesOf(queue)) {
    const facts = await main.topic(topic)
    if (facts !== undefined) places.push(...partitionsOf(topic, facts))
  }
  if (places.length === 0) return { ready: 0, out: 0, ends: [] }
  const [committed, first, ends] = await Promise.all([
    main.committed(queue.name, places),
    main.offsets(places, 'earliest'),
    main.offsets(places, 'latest'),
  ])
  let ready = 0
  let out = 0
  for (const [index, { offset, metadata }] of committed.entries()) {
    const from = first[index] ?? 0
    const legacy: Legacy = offset < from ? readLegacy(from, '') : readLegacy(offset, metadata)
    out += legacy.out
    ready += Math.max(0, (ends[index] ?? 0) - legacy.offset - legacy.done - legacy.out)
  }
  return { ready, out, ends: places.map((place, index) => ({ ...place, offset: ends[index] ?? 0 })) }
}
