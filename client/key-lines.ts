import type { OutboxEntry } from './outbox-lane.ts'

/** Of each key one entry may be on its way; the others wait behind it, in order. O(1) each, however many of one key wait. */
export interface KeyLines {
  /** True: nobody of its key is before it. */
  join(key: string, entry: OutboxEntry): boolean
  /** It need not be published any more; gives the next of its key if that is first now. */
  leave(key: string, entry: OutboxEntry): OutboxEntry | undefined
  /** Those who are not first. */
  waiting(): OutboxEntry[]
}

/** First in, first out; what is dropped stays until it is passed, or makes up half of the line. */
interface Line {
  entries: OutboxEntry[]
  next: number
  dropped: number
}

/** Shorter lines are left as they are. */
const WORTH_CLEARING = 32

export function createKeyLines(): KeyLines {
  /** A key that is here has its first entry elsewhere; undefined: nobody is behind that. */
  const lines = new Map<string, Line | undefined>()

  return {
    join(key, entry) {
      if (!lines.has(key)) {
        lines.set(key, undefined)
        return true
      }
      entry.isBehind = true
      const line = lines.get(key)
      if (line === undefined) lines.set(key, { entries: [entry], next: 0, dropped: 0 })
      else line.entries.push(entry)
      return false
    },

    leave(key, entry) {
      const line = lines.get(key)
      if (entry.isBehind) {
        if (line === undefined) return undefined
        line.dropped++
        clear(line)
        return undefined
      }
      const next = line && takeNext(line)
      if (next === undefined) lines.delete(key)
      return next
    },

    waiting: () => [...lines.values()].flatMap((line) => (line === undefined ? [] : stillWaiting(line))),
  }
}

function takeNext(line: Line): OutboxEntry | undefined {
  while (line.next < line.entries.length) {
    const entry = line.entries[line.next++]
    if (entry === undefined || entry.isDropped) continue
    entry.isBehind = false
    clear(line)
    return entry
  }
  return undefined
}

/** Lets go of what is passed or dropped, when it is most of the line. */
function clear(line: Line): void {
  if (line.entries.length < WORTH_CLEARING || 2 * (line.next + line.dropped) < line.entries.length) return
  line.entries = stillWaiting(line)
  line.next = 0
  line.dropped = 0
}

function stillWaiting({ entries, next }: Line): OutboxEntry[] {
  return entries.slice(next).filter(({ isDropped }) => !isDropped)
}
