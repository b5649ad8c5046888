import { integerHeader } from '../../protocol/headers.ts'
import type { DeadLetterReason } from '../adapter.ts'

// What is known of a dead letter stands in headers of its own beside those of its message.

const LETTER = {
  code: 'rt-dead-code',
  reason: 'rt-dead-reason',
  attempts: 'rt-dead-attempts',
  /** Epoch ms. */
  at: 'rt-dead-at',
} as const

type Headers = Readonly<Record<string, string>>

export function letterHeaders(headers: Headers, { code, reason, attempts }: DeadLetterReason, now: number): Headers {
  return {
    ...headers,
    [LETTER.code]: code,
    [LETTER.reason]: reason,
    [LETTER.attempts]: String(attempts),
    [LETTER.at]: String(now),
  }
}

/** The message's own headers, and why it is here; undefined: the server put it here, or a stranger. */
export function readLetterHeaders(headers: Headers): {
  readonly headers: Record<string, string>
  readonly why: (DeadLetterReason & { readonly at: number }) | undefined
} {
  const own = { ...headers }
  for (const name of Object.values(LETTER)) delete own[name]
  const code = headers[LETTER.code]
  if (code === undefined) return { headers: own, why: undefined }
  const why = {
    code,
    reason: headers[LETTER.reason] ?? '',
    attempts: integerHeader(headers, LETTER.attempts) ?? 0,
    at: integerHeader(headers, LETTER.at) ?? 0,
  }
  return { headers: own, why }
}
