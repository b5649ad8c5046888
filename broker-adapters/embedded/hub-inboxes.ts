import type { GroupCommit } from './group-commit.ts'
import type { HubConnection } from './hub-connection.ts'
import type { HubMessages } from './hub-messages.ts'
import type { Entry } from './hub-queue.ts'
import type { Store } from './store.ts'
import { OP, REPLY_STATUS, type ReplyKind } from './wire.ts'

/** Where replies of one caller go. It outlives the connection by its lease, and the hub by being stored. */
export interface HubInbox {
  readonly address: string
  leaseMs: number
  connection: HubConnection | undefined
  /** The caller's number for it. */
  number: number
  /** When it ends, if nobody comes; only without a connection. */
  expiresAt: number
  /** In order. */
  readonly replies: Map<number, HubReply>
}

/** One reply that its caller has not taken yet. */
interface HubReply {
  readonly inbox: HubInbox
  readonly sequence: number
  readonly correlationId: string
  readonly since: number
  /** Undefined once it is in the store. */
  blob: Buffer | undefined
  bytes: number
  isStoring: boolean
  /** It is handed over only when it and the end of its request are stored. */
  isHeldBack: boolean
  /** The request that it ends. */
  request: Entry | undefined
  answer: ReplyAnswer | undefined
  readonly index: number
}

/** Who waits to hear what became of a group of replies. */
interface ReplyAnswer {
  readonly connection: HubConnection
  readonly seq: number
  readonly statuses: Uint8Array
  open: number
}

/** A reply as its worker sent it. */
export interface IncomingReply {
  readonly correlationId: string
  readonly kind: ReplyKind
  readonly blob: Buffer
}

export interface HubInboxes {
  open(connection: HubConnection, seq: number, options: { address: string; number: number; leaseMs: number }): void
  close(connection: HubConnection, seq: number, address: string): void
  /** Hands replies over from memory, or stores them if their caller is away. */
  reply(connection: HubConnection, seq: number, address: string, replies: readonly IncomingReply[]): void
  taken(connection: HubConnection, sequence: number): void
  detach(connection: HubConnection): void
  /** Stores what its caller has not taken for a while, ends what nobody came back for. Called every few ms. */
  tick(now: number): void
  loadInbox(address: string, leaseMs: number): void
  loadReply(sequence: number, record: Buffer): void
}

/** How long a reply that was handed over may be in memory only. */
const UNTAKEN_MS = 50
const STATUS = { stored: 0, gone: 1, settled: 2 } as const satisfies Record<(typeof REPLY_STATUS)[number], number>

export interface HubInboxesOptions {
  readonly store: Store
  readonly commit: GroupCommit
  readonly nextSequence: () => number
  readonly now: () => number
  /** Settled is a request when the reply that ends it is taken, or is being stored in the same transaction. */
  readonly messages: Pick<HubMessages, 'settle' | 'answering' | 'addBytes'>
  readonly markWritten: (connection: HubConnection) => void
}

export function createHubInboxes(options: HubInboxesOptions): HubInboxes {
  const { store, commit, messages, markWritten } = options
  const inboxes = new Map<string, HubInbox>()
  /** Handed over and not taken, oldest first; holds what is taken too until its time. */
  let untaken: HubReply[] = []

  function makeInbox(address: string, leaseMs: number): HubInbox {
    const inbox: HubInbox = {
      address,
      leaseMs,
      connection: undefined,
      number: 0,
      expiresAt: options.now() + leaseMs,
      replies: new Map(),
    }
    inboxes.set(address, inbox)
    return inbox
  }
  function settleAnswer(reply: HubReply, status: number): void {
    const answer = reply.answer
    reply.answer = undefined
    if (answer === undefined) return
    answer.statuses[reply.index] = status
    answer.open--
    if (answer.open === 0) sendAnswer(answer.connection, answer.seq, answer.statuses)
  }
  function sendAnswer(connection: HubConnection, seq: number, statuses: Uint8Array): void {
    connection.writer.begin(OP.ANSWER).u32(seq).bytes(statuses).end()
    markWritten(connection)
  }
  function send(connection: HubConnection, inbox: HubInbox, reply: HubReply): void {
    const blob = reply.blob ?? blobOf(store.read('replies', reply.sequence))
    if (blob === undefined) return
    connection.writer.begin(OP.REPLIED).u32(inbox.number).num(reply.sequence).str(reply.correlationId).bytes(blob).end()
    markWritten(connection)
    if (reply.blob !== undefined) untaken.push(reply)
  }
  /** One transaction: the reply in, its request out. */
  function keep(inbox: HubInbox, reply: HubReply): void {
    if (reply.isStoring || reply.blob === undefined) return
    reply.isStoring = true
    const record = encodeReplyRecord(inbox.address, reply.correlationId, reply.blob)
    reply.bytes = record.length
    messages.addBytes(record.length)
    commit.put('replies', reply.sequence, record)
    const { request } = reply
    if (request !== undefined) messages.settle(request, 'soon')
    commit.afterwards(() => {
      if (reply.isHeldBack && inbox.connection !== undefined) send(inbox.connection, inbox, reply)
      reply.isHeldBack = false
      reply.blob = undefined
      settleAnswer(reply, request === undefined ? STATUS.stored : STATUS.settled)
    })
  }
  function forget(reply: HubReply): void {
    if (!reply.isStoring) return
    commit.remove('replies', reply.sequence)
    messages.addBytes(-reply.bytes)
  }
  function end(inbox: HubInbox): void {
    for (const reply of inbox.replies.values()) {
      forget(reply)
      if (reply.isStoring) continue
      // Nobody wants the answer any more, so its request is done with.
      if (reply.request !== undefined) messages.settle(reply.request, 'sometime')
      settleAnswer(reply, STATUS.gone)
    }
    inbox.connection?.inboxes.delete(inbox)
    inboxes.delete(inbox.address)
    commit.putName('inboxes', inbox.address, undefined)
  }
  function attach(inbox: HubInbox, connection: HubConnection, number: number): void {
    inbox.connection?.inboxes.delete(inbox)
    inbox.connection = connection
    inbox.number = number
    connection.inboxes.add(inbox)
    for (const reply of inbox.replies.values()) if (!reply.isHeldBack) send(connection, inbox, reply)
  }

  return {
    open(connection, seq, { address, number, leaseMs }) {
      const existing = inboxes.get(address)
      const inbox = existing ?? makeInbox(address, leaseMs)
      const answer = (): void => {
        connection.writer
          .begin(OP.ANSWER)
          .u32(seq)
          .u8(existing === undefined ? 1 : 0)
          .end()
        markWritten(connection)
      }
      attach(inbox, connection, number)
      if (existing !== undefined && inbox.leaseMs === leaseMs) return answer()
      inbox.leaseMs = leaseMs
      const value = Buffer.alloc(8)
      value.writeDoubleBE(leaseMs)
      commit.putName('inboxes', address, value)
      commit.afterwards(answer)
    },
    close(connection, seq, address) {
      const inbox = inboxes.get(address)
      if (inbox !== undefined) end(inbox)
      commit.afterwards(() => {
        connection.writer.begin(OP.ANSWER).u32(seq).end()
        markWritten(connection)
      })
    },
    reply(connection, seq, address, replies) {
      const inbox = inboxes.get(address)
      const statuses = new Uint8Array(replies.length)
      if (inbox === undefined) return sendAnswer(connection, seq, statuses.fill(STATUS.gone))
      const answer: ReplyAnswer = { connection, seq, statuses, open: replies.length }
      const since = options.now()
      for (const [index, { correlationId, kind, blob }] of replies.entries()) {
        const sequence = options.nextSequence()
        const request = kind !== 'on the way' ? connection.heldById.get(correlationId) : undefined
        const reply: HubReply = {
          inbox,
          sequence,
          correlationId,
          since,
          blob,
          bytes: 0,
          isStoring: false,
          isHeldBack: kind === 'error' && request !== undefined,
          request,
          answer,
          index,
        }
        // From here on it is not given back when its worker goes: the reply is on its way, or will be stored with its end.
        if (request !== undefined) messages.answering(connection, request)
        inbox.replies.set(sequence, reply)
        if (inbox.connection === undefined || reply.isHeldBack) keep(inbox, reply)
        else send(inbox.connection, inbox, reply)
      }
      if (replies.length === 0) sendAnswer(connection, seq, statuses)
    },
    taken(connection, sequence) {
      for (const inbox of connection.inboxes) {
        const reply = inbox.replies.get(sequence)
        if (reply === undefined) continue
        inbox.replies.delete(sequence)
        const { request } = reply
        const isRequestLeft = request !== undefined && !reply.isStoring
        const isSuspect = isRequestLeft && request.grants > 1
        if (isRequestLeft) messages.settle(request, isSuspect ? 'soon' : 'sometime')
        forget(reply)
        const told = (): void => settleAnswer(reply, request === undefined ? STATUS.stored : STATUS.settled)
        // What came back before may run beside, or before, what ends this process: it must not come back for that again.
        if (isSuspect) commit.afterwards(told)
        else told()
        return
      }
    },
    detach(connection) {
      for (const inbox of connection.inboxes) {
        inbox.connection = undefined
        inbox.expiresAt = options.now() + inbox.leaseMs
        for (const reply of inbox.replies.values()) keep(inbox, reply)
      }
      connection.inboxes.clear()
    },
    tick(now) {
      let count = 0
      for (const reply of untaken) {
        if (now - reply.since < UNTAKEN_MS) break
        count++
        if (reply.inbox.replies.has(reply.sequence)) keep(reply.inbox, reply)
      }
      if (count > 0) untaken = untaken.slice(count)
      for (const inbox of inboxes.values()) if (inbox.connection === undefined && inbox.expiresAt <= now) end(inbox)
    },
    loadInbox: makeInbox,
    loadReply(sequence, record) {
      const { address, correlationId } = decodeReplyRecord(record)
      const inbox = inboxes.get(address)
      if (inbox === undefined) return commit.remove('replies', sequence)
      messages.addBytes(record.length)
      inbox.replies.set(sequence, {
        inbox,
        sequence,
        correlationId,
        since: 0,
        blob: undefined,
        bytes: record.length,
        isStoring: true,
        isHeldBack: false,
        request: undefined,
        answer: undefined,
        index: 0,
      })
    },
  }
}

/** u32 bytes · address · u32 bytes · correlation id · blob. */
function encodeReplyRecord(address: string, correlationId: string, blob: Buffer): Buffer {
  const first = Buffer.from(address)
  const second = Buffer.from(correlationId)
  const lengths = [Buffer.allocUnsafe(4), Buffer.allocUnsafe(4)] as const
  lengths[0].writeUInt32BE(first.length)
  lengths[1].writeUInt32BE(second.length)
  return Buffer.concat([lengths[0], first, lengths[1], second, blob])
}

function decodeReplyRecord(record: Buffer): { address: string; correlationId: string; blob: Buffer } {
  const addressEnd = 4 + record.readUInt32BE(0)
  const idEnd = addressEnd + 4 + record.readUInt32BE(addressEnd)
  return {
    address: record.toString('utf8', 4, addressEnd),
    correlationId: record.toString('utf8', addressEnd + 4, idEnd),
    blob: record.subarray(idEnd),
  }
}

function blobOf(record: Buffer | undefined): Buffer | undefined {
  return record === undefined ? undefined : decodeReplyRecord(record).blob
}
