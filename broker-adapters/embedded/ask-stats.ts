import type { QueueStats } from '../adapter.ts'
import type { Ask } from './ask.ts'
import { OP } from './wire.ts'

export function askStats(ask: Ask, queue: string): Promise<QueueStats> {
  return ask(
    OP.STATS,
    (writer) => writer.str(queue),
    (fields) => JSON.parse(fields.str()) as QueueStats, // the hub's statsOf
  )
}
