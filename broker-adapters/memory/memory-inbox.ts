import type { ClockTimer } from '../../protocol/clock.ts'
import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { MemoryBroker } from './memory-broker.ts'

export interface MemoryInbox {
  /** None while its lease outlives the connection of a process. */
  readonly readers: Set<(reply: Reply) => void>
  leaseTimer: ClockTimer | undefined
}

/** Of one call: keeps its outcome. Its readers are the broker's, as they outlive it. */
export interface MemoryMailbox {
  readonly keepMs: number
  outcome: Reply | undefined
  /** Ends it; begins anew with each outcome. */
  leaseTimer: ClockTimer | undefined
}

/** Node's timers go no further. */
export const MAX_KEEP_MS = 2_147_483_647

const MAILBOX = /^([a-z0-9-]+\.box\.[A-Za-z0-9._-]+)\/(\d+)$/

/** The lifetime is in the address, so that an outcome that comes late can make its mailbox anew. */
export function mailboxAddress(namespace: string, callId: string, keepMs: number): string {
  return `${namespace}.box.${callId}/${keepMs}`
}

export function parseMailbox(address: string): { readonly name: string; readonly keepMs: number } | undefined {
  const [, name, keepMs] = MAILBOX.exec(address) ?? []
  return name === undefined ? undefined : { name, keepMs: Number(keepMs) }
}

/** Makes it if it is missing; its lifetime begins anew. */
export function keepMailbox(broker: MemoryBroker, name: string, keepMs: number): MemoryMailbox {
  const mailbox = broker.mailboxes.get(name) ?? {
    leaseTimer: undefined,
    keepMs,
    outcome: undefined,
  }
  broker.mailboxes.set(name, mailbox)
  mailbox.leaseTimer?.cancel()
  const end = (): void => void broker.mailboxes.delete(name)
  mailbox.leaseTimer = broker.clock.after(Math.min(mailbox.keepMs, MAX_KEEP_MS), end)
  mailbox.leaseTimer.unref()
  return mailbox
}

export function deliverReply(broker: MemoryBroker, address: string, reply: Reply): 'stored' | 'gone' {
  const box = parseMailbox(address)
  if (box !== undefined) return deliverToMailbox(broker, box, reply)
  const inbox = broker.inboxes.get(address)
  if (inbox === undefined) return 'gone'
  handOver(inbox.readers, reply)
  return 'stored'
}

function deliverToMailbox(
  broker: MemoryBroker,
  { name, keepMs }: NonNullable<ReturnType<typeof parseMailbox>>,
  reply: Reply,
): 'stored' {
  if (isFinalReply(reply.type)) {
    const kept = broker.mailboxes.get(name)?.outcome
    if (kept !== undefined && replayOf(kept.headers) >= replayOf(reply.headers)) return 'stored'
    keepMailbox(broker, name, keepMs).outcome = reply
  }
  handOver(broker.mailboxReaders.get(name) ?? [], reply)
  return 'stored'
}

/** Returns how it leaves. */
export function readMailbox(broker: MemoryBroker, name: string, reader: (reply: Reply) => void): () => void {
  const readers = broker.mailboxReaders.get(name) ?? new Set()
  broker.mailboxReaders.set(name, readers.add(reader))
  return () => {
    readers.delete(reader)
    if (readers.size === 0 && broker.mailboxReaders.get(name) === readers) broker.mailboxReaders.delete(name)
  }
}

/** Each reader gets a copy, in a later turn. */
function handOver(readers: Iterable<(reply: Reply) => void>, reply: Reply): void {
  for (const reader of readers) setImmediate(reader, { ...reply, body: Uint8Array.from(reply.body) })
}
