import { bytesOfText, writeText } from './text.ts'
import { fieldsOf } from './wire.ts'

/*
 * What the store holds for one mailbox; `num replay` is -1 without an outcome.
 *
 *     mailbox = num expiresAt · num keepMs · num replay · str name · str maker · [str correlationId · blob]
 */
export interface MailboxRecord {
  readonly name: string
  readonly keepMs: number
  readonly maker: string
  /** Epoch ms. */
  readonly expiresAt: number
  /** The generation of its outcome. */
  readonly replay: number
}

export interface StoredOutcome {
  readonly correlationId: string
  readonly blob: Buffer
}

const FIXED_BYTES = 8 + 8 + 8
const ADDRESS = /^([a-z0-9-]+\.box\..+)\/(\d{1,15})$/s

export function mailboxName(namespace: string, callId: string): string {
  return `${namespace}.box.${callId}`
}

/** The lifetime is in the address, so that an outcome that comes late can make its mailbox anew. */
export function mailboxAddress(name: string, keepMs: number): string {
  return `${name}/${keepMs}`
}

export function parseMailboxAddress(address: string): { readonly name: string; readonly keepMs: number } | undefined {
  const [, name, keepMs] = ADDRESS.exec(address) ?? []
  return name === undefined ? undefined : { name, keepMs: Number(keepMs) }
}

export function encodeMailboxRecord(
  { name, keepMs, maker, expiresAt, replay }: MailboxRecord,
  outcome: StoredOutcome | undefined,
): Buffer {
  const outcomeBytes = outcome === undefined ? 0 : bytesOfText(outcome.correlationId) + outcome.blob.length
  const record = Buffer.allocUnsafe(FIXED_BYTES + bytesOfText(name) + bytesOfText(maker) + outcomeBytes)
  record.writeDoubleBE(expiresAt, 0)
  record.writeDoubleBE(keepMs, 8)
  record.writeDoubleBE(replay, 16)
  const at = writeText(record, writeText(record, FIXED_BYTES, name), maker)
  if (outcome !== undefined) record.set(outcome.blob, writeText(record, at, outcome.correlationId))
  return record
}

export function decodeMailboxRecord(record: Buffer): MailboxRecord & { readonly outcome: StoredOutcome | undefined } {
  const fields = fieldsOf(record)
  const numbers = { expiresAt: fields.num(), keepMs: fields.num(), replay: fields.num() }
  const names = { name: fields.str(), maker: fields.str() }
  const outcome = numbers.replay < 0 ? undefined : { correlationId: fields.str(), blob: fields.rest() }
  return { ...numbers, ...names, outcome }
}
