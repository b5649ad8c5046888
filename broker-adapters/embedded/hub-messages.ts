import { createFences, type Fences } from './fences.ts'
import type { GroupCommit } from './group-commit.ts'
import { createHeap } from './heap.ts'
import type { HubConnection } from './hub-connection.ts'
import { createHubQueue, type Entry, type HubQueue, type HubSubscription } from './hub-queue.ts'
import type { HandOver, Journal } from './journal.ts'
import type { Placing } from './placing.ts'
import { encodeMessageRecord, keyOf, type MessageRecord } from './records.ts'
import type { Store } from './store.ts'
import { OP } from './wire.ts'

/** The messages of all queues: their states, and the hand-overs. */
export interface HubMessages {
  readonly queues: Map<string, HubQueue>
  /** Those that were handed out at least once: most that wait never were, and there may be a million. */
  readonly handedOut: ReadonlyMap<number, Entry>
  readonly fences: Fences
  makeQueue(name: string, number: number): HubQueue
  /** Begins to store it; undefined: it is stored or finished already. It is in its queue once `place` is called, after the commit. */
  add(queue: HubQueue, fields: NewMessage): Entry | undefined
  /** It is stored, or being stored, or finished not long ago. */
  readonly knows: (queue: HubQueue, id: string, generation: string) => boolean
  /** From the store, at start. */
  load(sequence: number, record: Buffer, fields: MessageRecord, handOver: HandOver | undefined): Entry | undefined
  /** It was not stored after all, and never will be. */
  readonly refuse: (entry: Entry) => void
  /** In its place: ready or delayed. */
  place(entry: Entry): void
  /** The entry, if this connection holds this very hand-over. */
  heldBy(connection: HubConnection, sequence: number, grant: number): Entry | undefined
  /** Begins to remove it for good; `sometime`: nobody waits for that. */
  readonly settle: (entry: Entry, how: 'soon' | 'sometime', isFinished?: boolean) => void
  /** Its final reply is on the way: it is not given back when its worker goes. */
  answering(connection: HubConnection, entry: Entry): void
  readonly giveBack: (entry: Entry) => void
  /** The same for good: its process will not resume it, and the next hub need not wait for that. */
  readonly release: (entry: Entry) => void
  /** An ack of what its reply has settled. */
  acknowledge(connection: HubConnection, sequence: number): void
  /** Leases it again to who had it under the last hub, or lost its connection and came back in time. */
  resume(subscription: HubSubscription, sequence: number, grant: number): boolean
  markDirty(queue: HubQueue): void
  /** Hands out what can be; true: something was written to connections. */
  handOut(): boolean
  /** Whether there may be something to hand out. */
  hasDirty(): boolean
  /** Moves what is due; when to come again. */
  releaseDue(now: number): number | undefined
  /** Drops what has expired at the heads of the queues, so that it does not pile up where nobody consumes. */
  dropExpired(now: number): void
  record(entry: Entry): Buffer | undefined
  readonly addBytes: (bytes: number) => void
  readonly storedBytes: number
}

export interface NewMessage {
  readonly id: string
  readonly generation: string
  readonly dueAt: number
  readonly expiresAt: number
  readonly placing: Placing
  readonly blob: Uint8Array
  /** A retry: the entry of the same id that it takes the place of. */
  readonly replaces?: Entry
  /** A dead letter again, which is no duplicate, whatever is remembered of its id. */
  readonly isReplay?: boolean
}

/** Sessions count from 1. */
const NO_SESSION = 0
/** Bodies beyond this stay in the store only, and so does what was there before the hub. */
const MEMORY_BYTES = 64 * 1024 * 1024

export function createHubMessages(options: {
  readonly store: Store
  readonly commit: GroupCommit
  readonly journal: () => Journal
  readonly nextSequence: () => number
  readonly now: () => number
  readonly markWritten: (connection: HubConnection) => void
}): HubMessages {
  const { store, commit, now } = options
  const queues = new Map<string, HubQueue>()
  const byNumber = new Map<number, HubQueue>()
  const handedOut = new Map<number, Entry>()
  /** What was removed meanwhile comes out too: look at its state. */
  const due = createHeap<Entry>(({ dueAt = 0 }) => dueAt)
  const dirty = new Set<HubQueue>()
  const fences = createFences({
    commit,
    onPrepared() {
      for (const queue of queues.values()) dirty.add(queue)
    },
  })
  let storedBytes = 0
  let memoryBytes = 0

  function knows(queue: HubQueue, id: string, generation: string): boolean {
    return queue.byId.has(id) || queue.finished.has(keyOf(id, generation), now())
  }
  function remember(queue: HubQueue, sequence: number, bytes: number, fields: Omit<NewMessage, 'blob'>): Entry {
    storedBytes += bytes
    const entry: Entry = {
      sequence,
      id: fields.id,
      key: keyOf(fields.id, fields.generation),
      queue,
      bytes,
      turnKey: fields.placing.turnKey,
      isHigh: fields.placing.isHigh,
      record: undefined,
      order: sequence,
      grants: 0,
      session: 0,
      dueAt: orUndefined(fields.dueAt),
      expiresAt: orUndefined(fields.expiresAt),
      state: 'storing',
      holder: undefined,
    }
    queue.byId.set(entry.id, entry)
    return entry
  }
  /** So that it need not be read when it is handed out, which is mostly soon. */
  function keepInMemory(entry: Entry, record: Buffer): void {
    if (memoryBytes + record.length > MEMORY_BYTES) return
    memoryBytes += record.length
    entry.record = record
  }
  function forget(entry: Entry): void {
    entry.state = 'gone'
    handedOut.delete(entry.sequence)
    if (entry.queue.byId.get(entry.id) === entry) entry.queue.byId.delete(entry.id)
    storedBytes -= entry.bytes
    if (entry.record !== undefined) memoryBytes -= entry.bytes
    entry.record = undefined
  }
  function letGo(entry: Entry): void {
    const { holder } = entry
    if (holder === undefined) return
    entry.holder = undefined
    entry.queue.activeCount--
    // One that its reply has settled takes up its place until it is acked too.
    if (!holder.connection.answered.has(entry.sequence)) holder.held--
    holder.connection.held.delete(entry)
    if (holder.connection.heldById.get(entry.id) === entry) holder.connection.heldById.delete(entry.id)
    dirty.add(entry.queue)
  }
  function place(entry: Entry): void {
    if (entry.dueAt !== undefined && entry.dueAt > now()) {
      entry.queue.addDelayed(entry)
      due.add(entry)
      return
    }
    entry.queue.addReady(entry)
    dirty.add(entry.queue)
  }
  function settle(entry: Entry, how: 'soon' | 'sometime', isFinished = true): void {
    if (entry.state === 'settling' || entry.state === 'gone') return
    entry.queue.withdraw(entry)
    letGo(entry)
    entry.state = 'settling'
    commit.remove('messages', entry.sequence)
    const done = (): void => {
      if (isFinished) {
        const at = now()
        entry.queue.finished.add(entry.key, at)
        options.journal().finished(entry.queue.number, entry.key, at)
      }
      forget(entry)
      endTurn(entry)
    }
    // The next of its key waits for that.
    if (how === 'soon' || entry.turnKey !== undefined) commit.afterwards(done)
    else commit.afterwardsSometime(done)
  }
  function endTurn(entry: Entry): void {
    if (entry.turnKey !== undefined && entry.queue.endTurn(entry)) dirty.add(entry.queue)
  }
  function lease(entry: Entry, subscription: HubSubscription): void {
    entry.state = 'leased'
    entry.holder = subscription
    entry.session = subscription.connection.session
    subscription.held++
    entry.queue.activeCount++
    subscription.connection.held.add(entry)
    subscription.connection.heldById.set(entry.id, entry)
  }
  function handOver(entry: Entry, subscription: HubSubscription, fence: number | undefined): void {
    const { connection } = subscription
    const record = recordOf(entry)
    if (record === undefined) return drop(entry)
    lease(entry, subscription)
    entry.grants++
    handedOut.set(entry.sequence, entry)
    options.journal().grant(entry.sequence, entry.grants, connection.session)
    const writer = connection.writer.begin(OP.DELIVER)
    writer.u32(subscription.number).num(entry.sequence).u32(entry.grants).bytes(record)
    if (fence !== undefined) writer.num(fence)
    writer.end()
    options.markWritten(connection)
  }
  function drop(taken: Entry): void {
    taken.state = 'leased'
    settle(taken, 'sometime', false)
    // Nobody has it and nobody will, stored or not.
    endTurn(taken)
  }
  function giveBack(entry: Entry): void {
    if (entry.state === 'grace') entry.queue.activeCount--
    letGo(entry)
    entry.queue.giveBack(entry)
    dirty.add(entry.queue)
  }
  function recordOf(entry: Entry): Buffer | undefined {
    return entry.record ?? store.read('messages', entry.sequence)
  }
  function handOutOf(queue: HubQueue, at: number): boolean {
    let isWritten = false
    // Looked at first: who is asked, and gets nothing, would lose his turn.
    while (queue.hasNext()) {
      const subscription = queue.pickSubscription()
      if (subscription === undefined) return isWritten
      const entry = queue.takeNext()
      if (entry === undefined) return isWritten
      if (hasExpired(entry, at)) {
        drop(entry)
        continue
      }
      const fence = entry.turnKey === undefined ? undefined : fences.next()
      if (entry.turnKey !== undefined && fence === undefined) {
        queue.giveBack(entry)
        return isWritten
      }
      handOver(entry, subscription, fence)
      isWritten = true
    }
    return isWritten
  }

  return {
    queues,
    handedOut,
    fences,
    makeQueue(name, number) {
      const queue = createHubQueue(name, number)
      queues.set(name, queue)
      byNumber.set(number, queue)
      return queue
    },
    add(queue, fields) {
      const { id, generation } = fields
      const isDuplicate = fields.isReplay === true ? queue.byId.has(id) : knows(queue, id, generation)
      if (fields.replaces === undefined && isDuplicate) return undefined
      const sequence = options.nextSequence()
      const record = encodeMessageRecord(queue.number, fields, fields.blob)
      commit.put('messages', sequence, record)
      const entry = remember(queue, sequence, record.length, fields)
      keepInMemory(entry, record)
      if (entry.turnKey !== undefined) fences.prepare()
      if (fields.replaces !== undefined) queue.turns.pass(fields.replaces, entry)
      return entry
    },
    load(sequence, record, fields, handOver) {
      const queue = byNumber.get(fields.queue)
      if (queue === undefined) return undefined
      const entry = remember(queue, sequence, record.length, fields)
      if (handOver === undefined) return entry
      entry.grants = handOver.grant
      entry.session = handOver.session
      handedOut.set(sequence, entry)
      return entry
    },
    knows,
    refuse: forget,
    place,
    heldBy(connection, sequence, grant) {
      const entry = handedOut.get(sequence)
      if (entry?.state !== 'leased' || entry.grants !== grant) return undefined
      return entry.holder?.connection === connection ? entry : undefined
    },
    settle,
    answering(connection, entry) {
      entry.state = 'answering'
      if (entry.holder !== undefined) connection.answered.set(entry.sequence, entry.holder)
      connection.held.delete(entry)
      connection.heldById.delete(entry.id)
    },
    acknowledge(connection, sequence) {
      const subscription = connection.answered.get(sequence)
      if (subscription === undefined) return
      connection.answered.delete(sequence)
      subscription.held--
      dirty.add(subscription.queue)
    },
    giveBack,
    release(entry) {
      giveBack(entry)
      entry.session = NO_SESSION
      options.journal().grant(entry.sequence, entry.grants, NO_SESSION)
    },
    resume(subscription, sequence, grant) {
      const entry = handedOut.get(sequence)
      if (entry === undefined || entry.queue !== subscription.queue) return false
      if (entry.grants !== grant || entry.session !== subscription.connection.session) return false
      if (entry.state !== 'grace' && entry.state !== 'ready') return false
      if (entry.state === 'grace') entry.queue.activeCount--
      entry.queue.withdraw(entry)
      lease(entry, subscription)
      return true
    },
    markDirty: (queue) => dirty.add(queue),
    handOut() {
      const at = now()
      let isWritten = false
      for (const queue of dirty) isWritten = handOutOf(queue, at) || isWritten
      dirty.clear()
      return isWritten
    },
    hasDirty() {
      for (const queue of dirty) if (queue.subscriptions.length > 0 && queue.hasNext()) return true
      return false
    },
    releaseDue(at) {
      for (let entry = due.peek(); entry !== undefined && (entry.dueAt ?? 0) <= at; entry = due.peek()) {
        due.take()
        if (entry.state !== 'delayed') continue
        entry.queue.withdraw(entry)
        entry.order = options.nextSequence()
        entry.queue.addReady(entry)
        dirty.add(entry.queue)
      }
      return due.peek()?.dueAt
    },
    dropExpired(at) {
      for (const queue of queues.values()) {
        for (const entry of queue.takeExpired((candidate) => hasExpired(candidate, at))) drop(entry)
      }
    },
    record: recordOf,
    addBytes(bytes) {
      storedBytes += bytes
    },
    get storedBytes() {
      return storedBytes
    },
  }
}

function hasExpired(entry: Entry, at: number): boolean {
  return entry.expiresAt !== undefined && entry.expiresAt <= at
}

function orUndefined(epochMs: number): number | undefined {
  return epochMs === 0 ? undefined : epochMs
}
