import type { QueueStats } from '../adapter.ts'
import type { Session } from './dial.ts'
import { OWN, type WorkQueue } from './keys.ts'

export async function readStats({ commands }: Session, queue: WorkQueue, now: number): Promise<QueueStats> {
  const [wait, prioritized, behind, delayed, active, dead, consumers, paused] = await Promise.all([
    commands.llen(queue.key('wait')),
    commands.zcard(queue.key('prioritized')),
    commands.hlen(queue.key(OWN.behind)),
    commands.zcard(queue.key('delayed')),
    commands.llen(queue.key('active')),
    commands.zcard(queue.key('failed')),
    commands.zcount(queue.key(OWN.consumers), now, '+inf'),
    commands.hexists(queue.key('meta'), 'paused'),
  ])
  return { ready: wait + prioritized + behind, dead, consumers, delayed, active, isPaused: paused === 1 }
}

/** In pieces, so that the server has time for others. */
export async function purge(
  { scripts }: Session,
  queue: WorkQueue,
  what: 'ready' | 'delayed' | 'dead',
): Promise<number> {
  let count = 0
  for (;;) {
    const removed = Number(await scripts.run('purge', queue.key(''), what))
    if (removed === 0) return count
    count += removed
  }
}
