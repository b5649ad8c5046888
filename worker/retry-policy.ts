import type { MethodFacts } from '../contract/method.ts'
import { attemptOf, HEADER } from '../protocol/headers.ts'
import type { Message } from '../protocol/message.ts'

/** Waits up to here are spent unacked in the worker, longer ones in the broker. */
export const HOLD_MS = 5_000

const CALL_ATTEMPTS = 1
const SEND_ATTEMPTS = 5
const MIN_DELAY_MS = 200
const MAX_DELAY_MS = 30_000
/** Ten years: what a handler's RetryAfter may ask for. */
const MAX_RETRY_AFTER_MS = 315_360_000_000

/** How often it may run in all: somebody waits for a call, so only its contract can ask for more than once. */
export function attemptsOf(facts: MethodFacts | undefined, type: Message['type']): number {
  return facts?.retry?.attempts ?? (type === 'send' ? SEND_ATTEMPTS : CALL_ATTEMPTS)
}

/** Exponential with full jitter: a random part of `minDelayMs` doubled for each attempt, at most `maxDelayMs`. */
export function retryDelayMs(
  facts: MethodFacts | undefined,
  {
    attempt,
    retryAfterMs,
    random,
  }: { readonly attempt: number; readonly retryAfterMs: number | undefined; readonly random: () => number },
): number {
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, MAX_RETRY_AFTER_MS)
  const { minDelayMs = MIN_DELAY_MS, maxDelayMs = MAX_DELAY_MS } = facts?.retry ?? {}
  return Math.round(random() * Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt - 1, 40)))
}

/** The headers of the copy that will be the next attempt. */
export function retryHeaders({
  attempt,
  history,
}: {
  readonly attempt: number
  readonly history: string
}): Readonly<Record<string, string>> {
  return {
    [HEADER.attempt]: String(attempt),
    [HEADER.ran]: '1',
    ...(history === '' ? {} : { [HEADER.history]: history }),
  }
}

/** Whether an attempt was made here that the stored message does not know of. */
export function isAheadOfMessage(call: { readonly attempt: number; readonly message: Message }): boolean {
  return call.attempt > attemptOf(call.message.headers)
}

const MAX_HISTORY_BYTES = 2048
const MAX_ENTRY_CHARS = 300
const SEPARATOR = ' | '

/** `attempt 1: Error: no such file | attempt 2: …`: one line, at most 2 KiB; the oldest entries go first. */
export function appendHistory(history: string, attempt: number, what: string): string {
  const entry = `attempt ${attempt}: ${what.replaceAll(/\s+/g, ' ').slice(0, MAX_ENTRY_CHARS)}`.toWellFormed()
  const entries = history === '' ? [entry] : [...history.split(SEPARATOR), entry]
  while (entries.length > 1 && Buffer.byteLength(entries.join(SEPARATOR)) > MAX_HISTORY_BYTES) entries.shift()
  return entries.join(SEPARATOR)
}
