import type { Entry } from './hub-queue.ts'

/**
 * Whose turn it is, of each key of one queue. A message has the turn from when it becomes ready until its removal is stored,
 * also while it is handed out, given back, or waits for its retry; the others of its key wait in the order in which they came.
 */
export interface KeyTurns {
  /** True: it has the turn, or has no key. False: it waits, and `end` will name it. */
  begin(entry: Entry): boolean
  /** What was handed out before has the turn, ready or not. */
  hold(entry: Entry): void
  /** It is stored anew: the copy has the turn. */
  pass(from: Entry, to: Entry): void
  /** It is over; returns the next one, which has the turn now. */
  end(entry: Entry): Entry | undefined
  /** Takes out what has expired while it waited. */
  takeExpired(hasExpired: (entry: Entry) => boolean): Entry[]
}

interface Turn {
  holder: Entry
  waiting: Entry[]
  /** Where the first one is. */
  head: number
}

const MIN_COMPACTED = 1_000

export function createKeyTurns(): KeyTurns {
  const turns = new Map<string, Turn>()

  function hold(entry: Entry): Turn | undefined {
    const { turnKey } = entry
    if (turnKey === undefined) return undefined
    let turn = turns.get(turnKey)
    if (turn === undefined) turns.set(turnKey, (turn = { holder: entry, waiting: [], head: 0 }))
    return turn
  }

  return {
    hold,
    begin(entry) {
      const turn = hold(entry)
      if (turn === undefined || turn.holder === entry) return true
      turn.waiting.push(entry)
      return false
    },
    pass(from, to) {
      const turn = from.turnKey === undefined ? undefined : turns.get(from.turnKey)
      if (turn?.holder === from) turn.holder = to
    },
    end(entry) {
      const { turnKey } = entry
      const turn = turnKey === undefined ? undefined : turns.get(turnKey)
      if (turnKey === undefined || turn?.holder !== entry) return undefined
      const next = firstWaiting(turn)
      if (next === undefined) turns.delete(turnKey)
      else {
        turn.head++
        turn.holder = next
      }
      return next
    },
    takeExpired(hasExpired) {
      const expired: Entry[] = []
      for (const turn of turns.values()) {
        for (let first = firstWaiting(turn); first !== undefined && hasExpired(first); first = firstWaiting(turn)) {
          turn.head++
          expired.push(first)
        }
      }
      return expired
    },
  }
}

/** What was withdrawn meanwhile is left out. */
function firstWaiting(turn: Turn): Entry | undefined {
  while (turn.head < turn.waiting.length && turn.waiting[turn.head]?.state !== 'ready') turn.head++
  if (turn.head > MIN_COMPACTED && turn.head * 2 > turn.waiting.length) {
    turn.waiting = turn.waiting.slice(turn.head)
    turn.head = 0
  }
  return turn.waiting[turn.head]
}
