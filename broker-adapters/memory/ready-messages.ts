import { HEADER, isHighPriority } from '../../protocol/headers.ts'
import type { QueueRef } from '../../protocol/message.ts'
import type { StoredMessage } from './memory-broker.ts'

/**
 * What waits in a queue, in the order in which it is handed out: 'high' first, and of a key one at a time. The first one of a
 * key has its turn, until `endTurn`.
 */
export interface ReadyMessages {
  readonly size: number
  add(stored: StoredMessage): void
  /** Back to the head. A message with a key still has its turn. */
  putBack(stored: StoredMessage): void
  /** `take` would give one. */
  hasNext(): boolean
  /** The next one. */
  take(): StoredMessage | undefined
  /** The message is settled or gone: the next of its key may be taken. */
  endTurn(stored: StoredMessage): void
  /** It is stored anew, so that nothing of its key passes it. */
  passTurn(from: StoredMessage, to: StoredMessage): void
  remove(id: string): StoredMessage | undefined
  /** How many there were. */
  clear(): number
}

interface Turn {
  holder: StoredMessage
  readonly waiting: StoredMessage[]
}

export function createReadyMessages({ keyed, priority }: QueueRef['features']): ReadyMessages {
  let high: StoredMessage[] = []
  let normal: StoredMessage[] = []
  const turns = new Map<string, Turn>()

  function keyOf({ message }: StoredMessage): string | undefined {
    return keyed ? message.headers[HEADER.key] : undefined
  }
  function lineOf({ message }: StoredMessage): StoredMessage[] {
    return priority && isHighPriority(message.headers) ? high : normal
  }
  /** False: it waits behind the one of its key that is before it. */
  function beginTurn(stored: StoredMessage): boolean {
    const key = keyOf(stored)
    if (key === undefined) return true
    const turn = turns.get(key)
    if (turn === undefined) turns.set(key, { holder: stored, waiting: [] })
    else if (turn.holder !== stored) turn.waiting.push(stored)
    return turn === undefined || turn.holder === stored
  }
  function endTurn(stored: StoredMessage): void {
    const key = keyOf(stored)
    const turn = key === undefined ? undefined : turns.get(key)
    if (key === undefined || turn?.holder !== stored) return
    const next = turn.waiting.shift()
    if (next === undefined) turns.delete(key)
    else {
      turn.holder = next
      lineOf(next).unshift(next)
    }
  }

  function countAll(): number {
    let count = high.length + normal.length
    for (const turn of turns.values()) count += turn.waiting.length
    return count
  }

  return {
    get size() {
      return countAll()
    },
    add(stored) {
      if (beginTurn(stored)) lineOf(stored).push(stored)
    },
    putBack(stored) {
      lineOf(stored).unshift(stored)
    },
    hasNext: () => high.length + normal.length > 0,
    take: () => high.shift() ?? normal.shift(),
    endTurn,
    passTurn(from, to) {
      const turn = turns.get(keyOf(from) ?? '')
      if (turn?.holder === from) turn.holder = to
    },
    remove(id) {
      const lists = [high, normal, ...[...turns.values()].map((turn) => turn.waiting)]
      for (const list of lists) {
        const at = list.findIndex((stored) => stored.message.id === id)
        const [removed] = at < 0 ? [] : list.splice(at, 1)
        if (removed === undefined) continue
        endTurn(removed)
        return removed
      }
      return undefined
    },
    clear() {
      const count = countAll()
      const waiting = [...high, ...normal]
      high = []
      normal = []
      for (const turn of turns.values()) turn.waiting.length = 0
      waiting.forEach(endTurn)
      return count
    },
  }
}
