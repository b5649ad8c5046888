import type { HubConnection } from './hub-connection.ts'
import { createKeyTurns, type KeyTurns } from './key-turns.ts'
import { createReadyLine } from './ready-line.ts'
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
  /** One of a key is out at a time; undefined: it has none. */
  readonly turnKey: string | undefined
  /** Goes before the rest. */
  readonly isHigh: boolean
  /** Undefined: only in the store. */
  record: Buffer | undefined
  /** Its place in the queue; a delayed one gets it when it is due. */
  order: number
  /** Hand-overs so far. */
  grants: number
  /** The session of the last one. */
  session: number
  /** Epoch ms; undefined: at once. Not 0: V8 keeps a field that may hold such large numbers outside, 16 bytes each. */
  readonly dueAt: number | undefined
  /** Epoch ms; undefined: never. */
  readonly expiresAt: number | undefined
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
  readonly turns: KeyTurns
  /** Nothing is handed out. */
  isPaused: boolean
  /** In its place: by its order, and behind what has the turn of its key. */
  addReady(entry: Entry): void
  addDelayed(entry: Entry): void
  /** To where it was. */
  giveBack(entry: Entry): void
  /** `takeNext` would give one, and may. */
  hasNext(): boolean
  /** The next one to hand out; it is 'leased' to nobody yet. */
  takeNext(): Entry | undefined
  /** Takes it out of its place; the caller sets the new state. True if it was ready or delayed. */
  withdraw(entry: Entry): boolean
  /** The turn of its key is over. True: the next one of the key has it, and may be handed out. */
  endTurn(entry: Entry): boolean
  /** Withdraws what has expired before its turn came. */
  takeExpired(hasExpired: (entry: Entry) => boolean): Entry[]
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
  const high = createReadyLine()
  const normal = createReadyLine()
  const turns = createKeyTurns()
  let readyCount = 0
  let delayedCount = 0
  let turn = 0

  function enter(entry: Entry): void {
    const line = entry.isHigh ? high : normal
    line.add(entry)
  }
  function addReady(entry: Entry): void {
    entry.state = 'ready'
    readyCount++
    if (turns.begin(entry)) enter(entry)
  }

  const queue: HubQueue = {
    name,
    number,
    byId,
    finished: createRecentIds(),
    letters: new Map(),
    subscriptions,
    turns,
    isPaused: false,
    addReady,
    addDelayed(entry) {
      entry.state = 'delayed'
      delayedCount++
    },
    giveBack(entry) {
      entry.holder = undefined
      addReady(entry)
    },
    activeCount: 0,
    hasNext: () => !queue.isPaused && (high.peek() ?? normal.peek()) !== undefined,
    takeNext() {
      const entry = high.take() ?? normal.take()
      if (entry !== undefined) readyCount--
      return entry
    },
    withdraw(entry) {
      if (entry.state === 'delayed') delayedCount--
      else if (entry.state === 'ready') readyCount--
      else return false
      return true
    },
    endTurn(entry) {
      const next = turns.end(entry)
      if (next !== undefined) enter(next)
      return next !== undefined
    },
    takeExpired(hasExpired) {
      const expired = turns.takeExpired(hasExpired)
      for (const line of [high, normal]) {
        for (let entry = line.peek(); entry !== undefined && hasExpired(entry); entry = line.peek()) {
          line.take()
          entry.state = 'leased' // it may be in the line twice
          expired.push(entry)
        }
      }
      readyCount -= expired.length
      return expired
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
  return queue
}
