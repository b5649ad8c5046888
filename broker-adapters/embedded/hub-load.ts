import { BrokerError } from '../../protocol/errors.ts'
import type { HubInboxes } from './hub-inboxes.ts'
import type { HubLetters } from './hub-letters.ts'
import type { HubMailboxes } from './hub-mailboxes.ts'
import type { HubMessages } from './hub-messages.ts'
import type { Entry, HubQueue } from './hub-queue.ts'
import type { HubSessions } from './hub-sessions.ts'
import type { JournalContents } from './journal.ts'
import { decodeLetterRecord, decodeMessageRecord, decodeQueueRecord } from './records.ts'
import type { Store, Table } from './store.ts'

/** Numbers between the last hub's and this one's, so that what somebody still calls by an old number is not taken for new. */
const SEQUENCE_GAP = 1_000_000

/** Records that are read in one go, some milliseconds: in between the thread can say that it lives. */
const SLICE = 2_000

/**
 * Fills the hub's memory from the store and the last hub's journal; resolves with the last used sequence number. Rejects
 * between two slices if the hub is to close meanwhile.
 */
export async function loadHub(hub: {
  readonly store: Store
  readonly messages: HubMessages
  readonly letters: HubLetters
  readonly inboxes: HubInboxes
  readonly mailboxes: HubMailboxes
  readonly sessions: HubSessions
  readonly journal: JournalContents
  readonly isClosing: () => boolean
}): Promise<number> {
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
  await eachOf('messages', (key, value) => {
    const handOver = journal.grants.get(key)
    const record = decodeMessageRecord(value)
    const entry = messages.load(key, value, record, handOver)
    if (entry === undefined) return
    // What was handed out, or waits for its retry, has the turn of its key, whatever else is older.
    if (entry.grants > 0 || record.placing.hasTurn) entry.queue.turns.hold(entry)
    else if (entry.turnKey !== undefined) {
      behindTheirKey.push(entry)
      return
    }
    if (handOver !== undefined && sessions.mayReturn(handOver.session)) sessions.keepForReturn(entry)
    else messages.place(entry)
  })
  for (const entry of behindTheirKey) messages.place(entry)
  await eachOf('letters', (key, value) => {
    const queue = queues.get(decodeLetterRecord(value).json.queue)
    if (queue !== undefined) hub.letters.load(queue, key, value)
  })
  for (const { key, value } of store.scanNamed('inboxes')) hub.inboxes.loadInbox(key, value.readDoubleBE(0))
  await eachOf('replies', (key, value) => hub.inboxes.loadReply(key, value))
  await eachOf('mailboxes', (key, value) => hub.mailboxes.load(key, value))
  for (const sequence of journal.grants.keys()) last = Math.max(last, sequence)
  return last + SEQUENCE_GAP

  async function eachOf(table: Table, load: (key: number, value: Buffer) => void): Promise<void> {
    let next = 0
    for (let count = SLICE; count === SLICE;) {
      count = 0
      for (const { key, value } of store.scan(table, next, SLICE)) {
        load(key, value)
        next = key + 1
        count++
      }
      last = Math.max(last, next - 1)
      await new Promise((resolve) => setImmediate(resolve))
      if (hub.isClosing()) throw new BrokerError('BROKER_UNAVAILABLE', 'closed while the store was being read')
    }
  }
}
