import type { HubConnection } from './hub-connection.ts'
import { createRecentIds, type RecentIds } from './recent-ids.ts'

/**
 * storing: its commit is under way · ready · delayed · leased: handed out · answering: its final reply is on the way to the
 * caller · grace: kept for the process that had it under the last hub · settling: its removal is under way · gone.
 */
export type EntryState = 'storing' | 'ready' | 'delayed' | 'leased' | 'answering' | 'grace' | 'settling' | 'gone'

/** One stored message. */
export interface Entry {
  readonly sequence: number
  readonly id: string
  /** The id, or id and generation of a replay: what a second publish is recognised by. */
  readonly key: string
  readonly queue: HubQueue
  readonly bytes: number
  /** Undefined: only in the store. */
  record: Buffer | undefined
  /** Its place in the queue; a delayed one gets it when it is due. */
  order: number
  /** Hand-overs so far. */
  grants: number
  /** The session of the last one. */
  session: number
  readonly dueAt: number
  /** 0: never. */
  readonly expiresAt: number
  state: EntryState
  holder: HubSubscription | undefined
}

export interface HubSubscription {
  readonly connection: HubConnection
  readonly number: number
  readonly queue: HubQueue
  readonly prefetch: number
  held: number
  isPaused: boolean
  isStopped: boolean
}

export function hasFreeCredit({ isPaused, isStopped, held, prefetch }: HubSubscription): boolean {
  return !isPaused && !isStopped && held < prefetch
}

export interface Letter {
  readonly sequence: number
  readonly id: string
  readonly at: number
  readonly code: string
  readonly bytes: number
}

/** The memory of one queue; what it changes here is already stored. */
export interface HubQueue {
  readonly name: string
  readonly number: number
  readonly byId: Map<string, Entry>
  readonly finished: RecentIds
  /** By message id, oldest first. */
  readonly letters: Map<string, Letter>
  readonly subscriptions: HubSubscription[]
  /** At the tail. */
  addReady(entry: Entry): void
  addDelayed(entry: Entry): void
  /** To where it was: before all that was never handed out, in order. */
  giveBack(entry: Entry): void
  /** The next one to hand out, where it is. */
  peek(): Entry | undefined
  /** The next one to hand out; it is 'leased' to nobody yet. */
  takeNext(): Entry | undefined
  /** Takes it out of its place; the caller sets the new state. True if it was ready or delayed. */
  withdraw(entry: Entry): boolean
  /** The one with the most free credit; among equals, in turn. */
  pickSubscription(): HubSubscription | undefined
  /** Ready or delayed ones. */
  waiting(state: 'ready' | 'delayed'): Entry[]
  /** Handed out and not settled; kept by who changes that. */
  activeCount: number
  readonly readyCount: number
  readonly delayedCount: number
}

export function createHubQueue(name: string, number: number): HubQueue {
  const byId = new Map<string, Entry>()
  const subscriptions: HubSubscription[] = []
  let line: (Entry | undefined)[] = []
  let head = 0
  /** Latest first, so that the next one is popped. */
  const returned: Entry[] = []
  let readyCount = 0
  let delayedCount = 0
  let turn = 0

  function firstInLine(): Entry | undefined {
    // What was withdrawn stays in the line until its turn.
    while (head < line.length && line[head]?.state !== 'ready') line[head++] = undefined
    return line[head]
  }
  function nextInLine(): Entry | undefined {
    const entry = firstInLine()
    if (entry !== undefined) line[head++] = undefined
    if (head > 1_000 && head * 2 > line.length) {
      line = line.slice(head)
      head = 0
    }
    return entry
  }
  function placeAmongReturned(order: number): number {
    let low = 0
    let high = returned.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((returned[middle]?.order ?? 0) > order) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    name,
    number,
    byId,
    finished: createRecentIds(),
    letters: new Map(),
    subscriptions,
    addReady(entry) {
      entry.state = 'ready'
      readyCount++
      line.push(entry)
    },
    addDelayed(entry) {
      entry.state = 'delayed'
      delayedCount++
    },
    giveBack(entry) {
      entry.state = 'ready'
      entry.holder = undefined
      readyCount++
      returned.splice(placeAmongReturned(entry.order), 0, entry)
    },
    activeCount: 0,
    peek: () => returned.at(-1) ?? firstInLine(),
    takeNext() {
      const entry = returned.pop() ?? nextInLine()
      if (entry !== undefined) readyCount--
      return entry
    },
    withdraw(entry) {
      if (entry.state === 'delayed') delayedCount--
      else if (entry.state === 'ready') {
        readyCount--
        const at = placeAmongReturned(entry.order)
        if (returned[at] === entry) returned.splice(at, 1)
      } else return false
      return true
    },
    pickSubscription() {
      let best: HubSubscription | undefined
      let mostFree = 0
      const count = subscriptions.length
      for (let step = 0; step < count; step++) {
        const subscription = subscriptions[(turn + step) % count]
        if (subscription === undefined || subscription.isPaused) continue
        const free = subscription.prefetch - subscription.held
        if (free <= mostFree) continue
        mostFree = free
        best = subscription
      }
      if (best !== undefined && count > 1) turn = (subscriptions.indexOf(best) + 1) % count
      return best
    },
    waiting: (state) => [...byId.values()].filter((entry) => entry.state === state),
    get readyCount() {
      return readyCount
    },
    get delayedCount() {
      return delayedCount
    },
  }
}
