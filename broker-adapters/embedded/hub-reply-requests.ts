import type { HubConnection } from './hub-connection.ts'
import type { Handlers } from './hub-handlers.ts'
import type { HubInboxes, IncomingReply } from './hub-inboxes.ts'
import type { HubMailboxes } from './hub-mailboxes.ts'
import { OP, REPLY_KIND, type FrameReader } from './wire.ts'

/** What processes ask about inboxes and mailboxes, and the replies that they send there. */
export function replyHandlers({
  inboxes,
  mailboxes,
}: {
  readonly inboxes: HubInboxes
  readonly mailboxes: HubMailboxes
}): Handlers {
  function openInbox(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    inboxes.open(connection, seq, { number: fields.u32(), address: fields.name(), leaseMs: finite(fields.num()) })
  }
  function openMailbox(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const names = { reader: fields.u32(), name: fields.name(), maker: fields.name(0) }
    const createForMs = finite(fields.num())
    const isReading = fields.u8() === 1
    mailboxes.open(connection, seq, {
      ...names,
      createForMs: createForMs < 0 ? undefined : createForMs,
      isReading,
    })
  }
  function reply(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const address = fields.str()
    const count = fields.count(MIN_BYTES.reply)
    const replies: IncomingReply[] = []
    for (let index = 0; index < count; index++) {
      replies.push({
        correlationId: fields.name(0),
        kind: REPLY_KIND[fields.u8()] ?? 'on the way',
        blob: fields.copy(),
      })
    }
    if (!mailboxes.reply(connection, seq, address, replies)) inboxes.reply(connection, seq, address, replies)
  }
  function taken(connection: HubConnection, fields: FrameReader): void {
    const count = fields.count(MIN_BYTES.taken)
    for (let index = 0; index < count; index++) inboxes.taken(connection, fields.num())
  }

  return [
    [OP.OPEN_INBOX, openInbox],
    [OP.CLOSE_INBOX, (connection, fields) => inboxes.close(connection, fields.u32(), fields.str())],
    [OP.OPEN_MAILBOX, openMailbox],
    [OP.CLOSE_MAILBOX, (connection, fields) => mailboxes.close(connection, fields.u32())],
    [OP.REPLY, reply],
    [OP.TAKEN, taken],
  ]
}

/** The fewest bytes that one entry has; see wire.ts. */
const MIN_BYTES = { reply: 6, taken: 8 } as const

/** What has no end would never be cleaned up. */
function finite(ms: number): number {
  if (!Number.isFinite(ms)) throw new RangeError(`a time of ${ms} ms`)
  return ms
}
