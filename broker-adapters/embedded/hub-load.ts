import type { HubInboxes } from './hub-inboxes.ts'
import type { HubLetters } from './hub-letters.ts'
import type { HubMailboxes } from './hub-mailboxes.ts'
import type { HubMessages } from './hub-messages.ts'
import type { Entry, HubQueue } from './hub-queue.ts'
import type { HubSessions } from './hub-sessions.ts'
import type { JournalContents } from './journal.ts'
import { decodeLetterRecord, decodeMessageRecord, decodeQueueRecord } from './records.ts'
import type { Store } from './store.ts'

/** Numbers between the last hub's and this one's, so that what somebody still calls by an old number is not taken for new. */
const SEQUENCE_GAP = 1_000_000

/** Fills the hub's memory from the store and the last hub's journal; returns the last used sequence number. */
export function loadHub(hub: {
  readonly store: Store
  readonly messages: HubMessages
  readonly letters: HubLetters
  readonly inboxes: HubInboxes
  readonly mailboxes: HubMailboxes
  readonly sessions: HubSessions
  readonly journal: JournalContents
  readonly now: number
}): number {
  const { store, messages, sessions, journal } = hub
  const queues = new Map<number, HubQueue>()
  let last = 0
  for (const { key, value } of store.scanNamed('queues')) {
    const { number, isPaused } = decodeQueueRecord(value)
    const queue = messages.makeQueue(key, number)
    queue.isPaused = isPaused
    queues.set(number, queue)
  }
  for (const { queue, key, at } of journal.finished) queues.get(queue)?.finished.add(key, at)
  for (const { value } of store.scanNamed('counters')) messages.fences.load(value)
  const behindTheirKey: Entry[] = []
  for (const { key, value } of store.scan('messages')) {
    last = key
    const record = decodeMessageRecord(value)
    const entry = messages.load(key, value, record)
    if (entry === undefined) continue
    const handOver = journal.grants.get(key)
    entry.grants = handOver?.grant ?? 0
    entry.session = handOver?.session ?? 0
    // What was handed out, or waits for its retry, has the turn of its key, whatever else is older.
    if (entry.grants > 0 || record.placing.hasTurn) entry.queue.turns.hold(entry)
    else if (entry.turnKey !== undefined) {
      behindTheirKey.push(entry)
      continue
    }
    if (handOver !== undefined && sessions.mayReturn(handOver.session)) sessions.keepForReturn(entry)
    else messages.place(entry)
  }
  for (const entry of behindTheirKey) messages.place(entry)
  for (const { key, value } of store.scan('letters')) {
    last = Math.max(last, key)
    const queue = queues.get(decodeLetterRecord(value).json.queue)
    if (queue !== undefined) hub.letters.load(queue, key, value)
  }
  for (const { key, value } of store.scanNamed('inboxes')) hub.inboxes.loadInbox(key, value.readDoubleBE(0))
  for (const { key, value } of store.scan('replies')) {
    last = Math.max(last, key)
    hub.inboxes.loadReply(key, value)
  }
  for (const { key, value } of store.scan('mailboxes')) {
    last = Math.max(last, key)
    hub.mailboxes.load(key, value)
  }
  for (const sequence of journal.grants.keys()) last = Math.max(last, sequence)
  return last + SEQUENCE_GAP
}
