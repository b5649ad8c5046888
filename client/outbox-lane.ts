import type { Message, QueueRef } from '../protocol/message.ts'
import type { CallState } from './call-state.ts'

export interface OutboxEntry {
  readonly state: CallState
  /** The reply address and what is left of its time are set when it leaves, the mark of a second copy when it does again. */
  readonly message: { -readonly [F in keyof Message]: Message[F] }
  readonly size: number
  /** Counts up in the order in which they were made. */
  readonly order: number
  /** Nothing has to be published for it any more. */
  isDropped: boolean
  unroutable: number
}

/** What waits to be published to one queue, in order. */
export interface Lane {
  readonly queue: QueueRef
  readonly waiting: ReadonlySet<OutboxEntry>
  queueIs: 'missing' | 'being declared' | 'declared'
  /** Publishes whose outcome is not known yet. */
  inFlight: number
  /** An outcome told to try again, and the time for that has not come. */
  isResting: boolean
  push(entry: OutboxEntry): void
  remove(entry: OutboxEntry): void
  /** Among those that wait, where they were before. */
  putBack(entries: readonly OutboxEntry[]): void
  /** The next entries that may leave together. Without an inbox (`canCall: false`) calls stay. */
  takeBatch(options: { readonly room: number; readonly canCall: boolean }): OutboxEntry[]
}

const MAX_BATCH = 512
const MAX_BATCH_BYTES = 1_048_576

export function createLane(queue: QueueRef): Lane {
  /** A set keeps the order, and what gives up while the broker is away leaves it from the middle. */
  const waiting = new Set<OutboxEntry>()

  return {
    queue,
    waiting,
    queueIs: 'missing',
    inFlight: 0,
    isResting: false,
    push: (entry) => void waiting.add(entry),
    remove: (entry) => void waiting.delete(entry),

    putBack(entries) {
      const all = [...entries, ...waiting].toSorted((a, b) => a.order - b.order)
      waiting.clear()
      for (const entry of all) waiting.add(entry)
    },

    takeBatch({ room, canCall }) {
      const batch: OutboxEntry[] = []
      const limit = Math.min(room, MAX_BATCH)
      let bytes = 0
      for (const entry of waiting) {
        if (batch.length >= limit || bytes >= MAX_BATCH_BYTES) break
        if (!canCall && entry.state.kind === 'call') continue
        waiting.delete(entry)
        batch.push(entry)
        bytes += entry.size
      }
      return batch
    },
  }
}
