import { replayOf } from '../../protocol/headers.ts'
import { readReply } from './envelope.ts'
import type { GroupCommit } from './group-commit.ts'
import { createHeap } from './heap.ts'
import type { HubConnection } from './hub-connection.ts'
import type { IncomingReply } from './hub-inboxes.ts'
import type { HubMessages } from './hub-messages.ts'
import { decodeMailboxRecord, encodeMailboxRecord, parseMailboxAddress, type StoredOutcome } from './mailbox-records.ts'
import type { Store } from './store.ts'
import { fieldsOf, OP, REPLY_STATUS } from './wire.ts'

/** The mailboxes of calls: each keeps one outcome in the store, for any process to read. */
export interface HubMailboxes {
  /** Answers when it is stored, after the outcome that is there. */
  open(connection: HubConnection, seq: number, options: OpenMailbox): void
  close(connection: HubConnection, reader: number): void
  /** False: this is no mailbox's address. */
  reply(connection: HubConnection, seq: number, address: string, replies: readonly IncomingReply[]): boolean
  /** The connection's readers are gone. */
  detach(connection: HubConnection): void
  dropExpired(now: number): void
  load(sequence: number, record: Buffer): void
}

export interface OpenMailbox {
  /** The connection's number for it. */
  readonly reader: number
  readonly name: string
  /** Who makes it: who asks again, because the answer was lost, has not found it. */
  readonly maker: string
  /** Undefined: it is not made. */
  readonly createForMs: number | undefined
  /** Comes back after a reconnect: it reads whether there is one or not. */
  readonly isReading: boolean
}

interface HubMailbox {
  readonly name: string
  readonly keepMs: number
  readonly maker: string
  expiresAt: number
  /** Of its record: a new one each time. */
  sequence: number
  bytes: number
  /** The generation of its outcome; -1: it has none. */
  replay: number
  /** Its outcome is under way to the store. */
  isStoring: boolean
}

interface Reader {
  readonly connection: HubConnection
  readonly number: number
  readonly name: string
}

const STATUS = { stored: 0, settled: 2 } as const satisfies Partial<Record<(typeof REPLY_STATUS)[number], number>>

export function createHubMailboxes(options: {
  readonly store: Store
  readonly commit: GroupCommit
  readonly nextSequence: () => number
  readonly now: () => number
  readonly messages: Pick<HubMessages, 'settle' | 'answering' | 'addBytes'>
  readonly markWritten: (connection: HubConnection) => void
}): HubMailboxes {
  const { store, commit, messages, now, markWritten } = options
  const mailboxes = new Map<string, HubMailbox>()
  /** Also of mailboxes that are gone: a later outcome makes them anew. */
  const readers = new Map<string, Set<Reader>>()
  const byConnection = new Map<HubConnection, Map<number, Reader>>()
  const expiries = createHeap<{ readonly mailbox: HubMailbox; readonly at: number }>(({ at }) => at)

  function find(name: string): HubMailbox | undefined {
    const mailbox = mailboxes.get(name)
    if (mailbox === undefined || mailbox.expiresAt > now()) return mailbox
    end(mailbox)
    return undefined
  }
  function keep(mailbox: HubMailbox): HubMailbox {
    mailboxes.set(mailbox.name, mailbox)
    expiries.add({ mailbox, at: mailbox.expiresAt })
    messages.addBytes(mailbox.bytes)
    return mailbox
  }
  function make(name: string, keepMs: number, maker: string): HubMailbox {
    return { name, keepMs, maker, expiresAt: 0, sequence: 0, bytes: 0, replay: -1, isStoring: false }
  }
  function end(mailbox: HubMailbox): void {
    mailboxes.delete(mailbox.name)
    commit.remove('mailboxes', mailbox.sequence)
    messages.addBytes(-mailbox.bytes)
  }
  /** Stores it, alive from now on, in place of what is stored of it. */
  function write(mailbox: HubMailbox, outcome: StoredOutcome | undefined): void {
    const earlier = mailboxes.get(mailbox.name) === mailbox ? mailbox.sequence : undefined
    messages.addBytes(-mailbox.bytes)
    mailbox.sequence = options.nextSequence()
    mailbox.expiresAt = now() + mailbox.keepMs
    const record = encodeMailboxRecord(mailbox, outcome)
    mailbox.bytes = record.length
    commit.put('mailboxes', mailbox.sequence, record)
    if (earlier !== undefined) commit.remove('mailboxes', earlier)
    keep(mailbox)
  }

  function send({ connection, number }: Reader, { correlationId, blob }: StoredOutcome): void {
    connection.writer.begin(OP.MAILED).u32(number).str(correlationId).bytes(blob).end()
    markWritten(connection)
  }
  function sendToAll(name: string, outcome: StoredOutcome): void {
    for (const reader of readers.get(name) ?? []) send(reader, outcome)
  }
  function outcomeOf(mailbox: HubMailbox): StoredOutcome | undefined {
    const record = mailbox.replay < 0 ? undefined : store.read('mailboxes', mailbox.sequence)
    return record === undefined ? undefined : decodeMailboxRecord(record).outcome
  }
  function addReader(reader: Reader): void {
    const { connection, number, name } = reader
    readers.set(name, (readers.get(name) ?? new Set()).add(reader))
    byConnection.set(connection, (byConnection.get(connection) ?? new Map<number, Reader>()).set(number, reader))
  }
  function removeReader(reader: Reader): void {
    const those = readers.get(reader.name)
    those?.delete(reader)
    if (those?.size === 0) readers.delete(reader.name)
  }

  function keepOutcome(address: { readonly name: string; readonly keepMs: number }, outcome: StoredOutcome): void {
    const { name, keepMs } = address
    const replay = replayOf(readReply('', fieldsOf(outcome.blob)).headers)
    const mailbox = find(name) ?? make(name, keepMs, '')
    if (replay <= mailbox.replay) return
    mailbox.replay = replay
    mailbox.isStoring = true
    write(mailbox, outcome)
    const { sequence } = mailbox
    commit.afterwards(() => {
      if (mailbox.sequence === sequence) mailbox.isStoring = false
      sendToAll(name, outcome)
    })
  }

  return {
    open(connection, seq, { reader: number, name, maker, createForMs, isReading }) {
      const existing = find(name)
      const mailbox = existing ?? (createForMs === undefined ? undefined : make(name, createForMs, maker))
      if (mailbox !== undefined && existing === undefined) write(mailbox, undefined)
      const isFound = existing !== undefined && existing.maker !== maker
      commit.afterwards(() => {
        if (connection.isClosed) return
        const reader = { connection, number, name }
        if (mailbox !== undefined || isReading) addReader(reader)
        const kept = mailboxes.get(name)
        // One that is under way comes to all readers when it is stored.
        const outcome = kept === undefined || kept.isStoring ? undefined : outcomeOf(kept)
        if (outcome !== undefined) send(reader, outcome)
        const writer = connection.writer
          .begin(OP.ANSWER)
          .u32(seq)
          .u8(isFound ? 1 : 0)
        writer.num(mailbox?.keepMs ?? -1).end()
        markWritten(connection)
      })
    },
    close(connection, number) {
      const reader = byConnection.get(connection)?.get(number)
      if (reader === undefined) return
      byConnection.get(connection)?.delete(number)
      removeReader(reader)
    },
    reply(connection, seq, address, replies) {
      const parsed = parseMailboxAddress(address)
      if (parsed === undefined) return false
      const statuses = new Uint8Array(replies.length)
      for (const [index, { correlationId, kind, blob }] of replies.entries()) {
        const outcome = { correlationId, blob }
        if (kind === 'on the way') {
          sendToAll(parsed.name, outcome)
          continue
        }
        keepOutcome(parsed, outcome)
        // In the same transaction.
        const request = connection.heldById.get(correlationId)
        if (request === undefined) continue
        messages.answering(connection, request)
        messages.settle(request, 'soon')
        statuses[index] = STATUS.settled
      }
      commit.afterwards(() => {
        connection.writer.begin(OP.ANSWER).u32(seq).bytes(statuses).end()
        markWritten(connection)
      })
      return true
    },
    detach(connection) {
      for (const reader of byConnection.get(connection)?.values() ?? []) removeReader(reader)
      byConnection.delete(connection)
    },
    dropExpired(at) {
      for (let first = expiries.peek(); first !== undefined && first.at <= at; first = expiries.peek()) {
        expiries.take()
        const { mailbox } = first
        if (mailbox.expiresAt <= at && mailboxes.get(mailbox.name) === mailbox) end(mailbox)
      }
    },
    load(sequence, record) {
      const { name, keepMs, maker, expiresAt, replay } = decodeMailboxRecord(record)
      keep({ name, keepMs, maker, expiresAt, sequence, bytes: record.length, replay, isStoring: false })
    },
  }
}
