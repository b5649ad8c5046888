import type { HubInboxes } from './hub-inboxes.ts'
import type { HubLetters } from './hub-letters.ts'
import type { HubMessages } from './hub-messages.ts'
import type { HubQueue } from './hub-queue.ts'
import type { HubSessions } from './hub-sessions.ts'
import type { JournalContents } from './journal.ts'
import { decodeLetterRecord, decodeMessageRecord } from './records.ts'
import type { Store } from './store.ts'

/** Numbers between the last hub's and this one's, so that what somebody still calls by an old number is not taken for new. */
const SEQUENCE_GAP = 1_000_000

/** Fills the hub's memory from the store and the last hub's journal; returns the last used sequence number. */
export function loadHub(hub: {
  readonly store: Store
  readonly messages: HubMessages
  readonly letters: HubLetters
  readonly inboxes: HubInboxes
  readonly sessions: HubSessions
  readonly journal: JournalContents
  readonly now: number
}): number {
  const { store, messages, sessions, journal } = hub
  const queues = new Map<number, HubQueue>()
  let last = 0
  for (const { key, value } of store.scanNamed('queues')) {
    const number = value.readUInt32BE(0)
    queues.set(number, messages.makeQueue(key, number))
  }
  for (const { queue, key, at } of journal.finished) queues.get(queue)?.finished.add(key, at)
  for (const { key, value } of store.scan('messages')) {
    last = key
    const entry = messages.load(key, value, decodeMessageRecord(value))
    if (entry === undefined) continue
    const handOver = journal.grants.get(key)
    entry.grants = handOver?.grant ?? 0
    entry.session = handOver?.session ?? 0
    if (handOver !== undefined && sessions.mayReturn(handOver.session)) sessions.keepForReturn(entry)
    else messages.place(entry)
  }
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
  for (const sequence of journal.grants.keys()) last = Math.max(last, sequence)
  return last + SEQUENCE_GAP
}
