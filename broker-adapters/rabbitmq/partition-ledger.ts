import { isNewer, parseNote, type OwnerNote, type ProbeNote, type RetryEntry } from './partition-notes.ts'
import type { RawMessage } from './properties.ts'

/** The notes of a partition that lie here. Whatever is not needed any more is acked, at the latest when it comes. */
export interface Ledger {
  hear(raw: RawMessage): void
  /** Resolves when our own note with this token comes. */
  comes(token: string): Promise<void>
  /** The highest number that was heard of. */
  lastOwner(): number
  /** From here on, of former owners nothing counts any more but what is unclaimed. */
  begin(owner: number): void
  claim(key: string, id: string): RetryEntry | undefined
  dropUnclaimed(): void
  drop(entry: RetryEntry): void
}

interface LedgerOptions {
  readonly ack: (raw: RawMessage) => void
  /** Somebody else takes over. What was heard of that one must go back to it, unacked. */
  readonly onSuperseded: () => void
}

export function createLedger({ ack, onSuperseded }: LedgerOptions): Ledger {
  /** Of those who owned before, and probes. */
  const outdated: RawMessage[] = []
  /** By our tokens: who waits for it; undefined: it came. */
  const expected = new Map<string, (() => void) | undefined>()
  /** From the first of our own notes on, what others store is newer than what we began with. */
  let isCaughtUp = false
  const entries = new Map<string, RawMessage>()
  /** Not needed any more, and still on their way here. */
  const dropped = new Set<string>()
  const unclaimed = new Map<string, RetryEntry>()
  let last = 0
  let own: number | undefined

  function drop(entry: RetryEntry): void {
    const name = nameOf(entry)
    const raw = entries.get(name)
    if (raw === undefined) return void dropped.add(name)
    entries.delete(name)
    ack(raw)
  }

  function hearEntry(raw: RawMessage, entry: RetryEntry): void {
    last = Math.max(last, entry.owner)
    const isLate = own !== undefined && entry.owner !== own // its owner had lost the partition and did not know it yet
    if (isLate || dropped.delete(nameOf(entry)) || entries.has(nameOf(entry))) return ack(raw)
    entries.set(nameOf(entry), raw)
    if (own !== undefined) return
    const name = claimOf(entry.key, entry.id)
    const known = unclaimed.get(name)
    const isBest = known === undefined || isNewer(entry, known)
    if (isBest) unclaimed.set(name, entry)
    const older = isBest ? known : entry
    if (older !== undefined) drop(older)
  }

  function hearToken(raw: RawMessage, { kind, token }: OwnerNote | ProbeNote): void {
    if (!expected.has(token)) {
      if (isCaughtUp) onSuperseded()
      else outdated.push(raw)
      return
    }
    const tell = expected.get(token)
    if (tell === undefined) return ack(raw) // stored twice
    if (kind === 'probe') outdated.push(raw)
    isCaughtUp = true
    expected.set(token, undefined)
    tell()
  }

  return {
    hear(raw) {
      const note = parseNote(raw.content)
      if (note === undefined) return ack(raw)
      if (note.kind === 'entry') return hearEntry(raw, note)
      if (note.kind === 'owner') last = Math.max(last, note.owner)
      hearToken(raw, note)
    },
    comes: (token) => new Promise((resolve) => expected.set(token, resolve)),
    lastOwner: () => last,
    begin(owner) {
      own = owner
      for (const raw of outdated.splice(0)) ack(raw)
    },
    claim(key, id) {
      const name = claimOf(key, id)
      const entry = unclaimed.get(name)
      unclaimed.delete(name)
      return entry
    },
    dropUnclaimed() {
      for (const entry of unclaimed.values()) drop(entry)
      unclaimed.clear()
    },
    drop,
  }
}

function nameOf({ owner, sequence }: RetryEntry): string {
  return `${owner}.${sequence}`
}
function claimOf(key: string, id: string): string {
  return `${id}\n${key}`
}
