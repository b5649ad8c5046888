import { HEADER } from '../protocol/headers.ts'
import type { Message, QueueRef } from '../protocol/message.ts'
import type { CallState } from './call-state.ts'
import { createKeyLines } from './key-lines.ts'

export interface OutboxEntry {
  readonly state: CallState
  /** The reply address and what is left of its time are set when it leaves, the mark of a second copy when it does again. */
  readonly message: { -readonly [F in keyof Message]: Message[F] }
  readonly size: number
  /** Counts up in the order in which they were made. */
  readonly order: number
  /** What was published under its id without this client's doing. */
  readonly copiesBefore: number
  /** Another one of its key goes first. */
  isBehind: boolean
  /** Nothing has to be published for it any more. */
  isDropped: boolean
  unroutable: number
}

/** What waits to be published to one queue, in order; of a key one at a time, from `push` until `remove`. */
export interface Lane {
  readonly queue: QueueRef
  /** What may leave now. */
  readonly waiting: ReadonlySet<OutboxEntry>
  /** What waits, also behind another one of its key. */
  all(): OutboxEntry[]
  queueIs: 'missing' | 'being declared' | 'declared'
  /** Publishes whose outcome is not known yet. */
  inFlight: number
  /** An outcome told to try again, and the time for that has not come. */
  isResting: boolean
  push(entry: OutboxEntry): void
  /** It was pushed before its reply address was known, and kept its place. */
  admit(entry: OutboxEntry): void
  /** It need not be published any more: the next of its key may. */
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
  const lines = createKeyLines()
  /** Their mailboxes are not open yet; each has its key's turn. */
  const early = new Set<OutboxEntry>()
  const stand = (entry: OutboxEntry): void => void (isEarly(entry) ? early : waiting).add(entry)
  const keyOf = ({ message }: OutboxEntry): string | undefined =>
    queue.features.keyed ? message.headers[HEADER.key] : undefined

  return {
    queue,
    waiting,
    queueIs: 'missing',
    inFlight: 0,
    isResting: false,
    all: () => [...waiting, ...early, ...lines.waiting()],

    push(entry) {
      const key = keyOf(entry)
      if (key === undefined || lines.join(key, entry)) stand(entry)
    },

    admit(entry) {
      if (early.delete(entry)) waiting.add(entry) // one that is behind another looks when its turn comes
    },

    remove(entry) {
      waiting.delete(entry)
      if (entry.state.kept !== undefined) early.delete(entry)
      const key = keyOf(entry)
      const next = key === undefined ? undefined : lines.leave(key, entry)
      if (next !== undefined) stand(next)
    },

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
        if (!canCall && entry.state.kind !== 'send' && entry.state.kept === undefined) continue
        waiting.delete(entry)
        batch.push(entry)
        bytes += entry.size
      }
      return batch
    },
  }
}

function isEarly({ state: { kept } }: OutboxEntry): boolean {
  return kept !== undefined && kept.mailbox === undefined
}
