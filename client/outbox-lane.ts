import type { BrokerAdapter } from '../broker-adapters/adapter.ts'
import type { Message, QueueRef } from '../protocol/message.ts'
import type { CallState } from './call-state.ts'

export interface OutboxEntry {
  readonly state: CallState
  /** The reply address is added when it leaves. */
  readonly message: Omit<Message, 'replyTo'>
  readonly size: number
  /** Nothing has to be published for it any more. */
  isDropped: boolean
  unroutable: number
}

/** What waits to be published to one queue, in order. */
export interface Lane {
  readonly queue: QueueRef
  readonly size: number
  isDeclared: boolean
  push(entry: OutboxEntry): void
  /** To the head again, in the given order. */
  putBack(entries: readonly OutboxEntry[]): void
  /** The next entries that may leave together. Without an inbox (`canCall: false`) calls stay. */
  takeBatch(options: { readonly room: number; readonly canCall: boolean }): OutboxEntry[]
  /** Shared by whoever asks meanwhile; tried again after a failure. */
  declare(adapter: BrokerAdapter): Promise<void>
}

const MAX_BATCH = 512
const MAX_BATCH_BYTES = 1_048_576

export function createLane(queue: QueueRef): Lane {
  let waiting: OutboxEntry[] = []
  /** Entries before it have left; shifting a long array for each of them would cost too much. */
  let head = 0
  let declaring: Promise<void> | undefined

  return {
    queue,
    isDeclared: false,
    get size() {
      return waiting.length - head
    },

    push(entry) {
      waiting.push(entry)
    },

    putBack(entries) {
      waiting = [...entries, ...waiting.slice(head)]
      head = 0
    },

    takeBatch({ room, canCall }) {
      const batch: OutboxEntry[] = []
      const stay: OutboxEntry[] = []
      let bytes = 0
      while (head < waiting.length && batch.length < Math.min(room, MAX_BATCH) && bytes < MAX_BATCH_BYTES) {
        const entry = waiting[head++]
        if (entry === undefined || entry.isDropped) continue
        if (!canCall && entry.state.kind === 'call') stay.push(entry)
        else {
          batch.push(entry)
          bytes += entry.size
        }
      }
      if (stay.length > 0) this.putBack(stay)
      else if (head === waiting.length || head > 4096) this.putBack([])
      return batch
    },

    declare(adapter) {
      declaring ??= adapter
        .declare(queue)
        .then(() => void (this.isDeclared = true))
        .finally(() => (declaring = undefined))
      return declaring
    },
  }
}
