import { HEADER, integerHeader } from './headers.ts'

/** How far two machines' clocks may be apart before a call is taken for expired. One machine's clock needs none. */
export const CLOCK_TOLERANCE_MS = 5_000

export interface WireDeadline {
  /** Epoch ms by the sender's clock. */
  readonly at: number
  /** When the sender wrote it, by the same clock. */
  readonly sentAt: number | undefined
  readonly isSameClock: boolean
}

/** The deadline that a message carries; undefined: it has none. */
export function readDeadline(headers: Readonly<Record<string, string>>, hostId: string): WireDeadline | undefined {
  const at = integerHeader(headers, HEADER.deadline)
  if (at === undefined) return undefined
  return { at, sentAt: integerHeader(headers, HEADER.sent), isSameClock: headers[HEADER.host] === hostId }
}

export function isExpired(deadline: WireDeadline, now: number): boolean {
  return now > deadline.at + (deadline.isSameClock ? 0 : CLOCK_TOLERANCE_MS)
}

/** Names both clocks, so that a reader sees at once when they are minutes apart. */
export function describeExpiry(deadline: WireDeadline, now: number): string {
  const sent = deadline.sentAt === undefined ? '' : `, sent at ${iso(deadline.sentAt)} by the caller's clock`
  const clocks = deadline.isSameClock ? '' : '; the clocks are those of two machines: compare them'
  return `its deadline was ${iso(deadline.at)}${sent}, and the worker's clock said ${iso(now)}${clocks}`
}

function iso(epochMs: number): string {
  return epochMs > 8.64e15 ? `${epochMs} ms` : new Date(epochMs).toISOString()
}
