import { HEADER } from '../protocol/headers.ts'
import type { HeldCall } from './held-calls.ts'
import { soloCrashesOf } from './intake.ts'
import { isAheadOfMessage, retryHeaders } from './retry-policy.ts'

type Headers = Readonly<Record<string, string>>

/**
 * What is changed in the copy of a message that goes back without a further attempt; undefined: it goes back as it is.
 * Brokers count what goes back as it is, a copy they count anew. So what a worker gives back of its own will, drain after
 * drain, never looks like a message that ends its workers.
 */
export function givenBackHeaders(call: HeldCall): Headers | undefined {
  if (isAheadOfMessage(call)) return nextAttemptHeaders(call)
  const isFresh = (call.delivery.handBacks ?? 0) === 0
  if (isFresh && !call.isSolo && call.given === 0) return undefined
  return {
    ...sameAttemptHeaders(call),
    ...(call.given > 0 && { [HEADER.given]: String(call.given) }),
    ...(call.isSolo && { [HEADER.solo]: String(soloCrashesOf(call)) }),
  }
}

/** Of the copy that is to run alone. */
export function isolatedHeaders(call: HeldCall): Headers {
  return { ...sameAttemptHeaders(call), [HEADER.solo]: '0' }
}

/** A run that ended did not end its worker: the next attempt needs not be alone. */
function nextAttemptHeaders(call: HeldCall): Headers {
  const headers = retryHeaders(call)
  return call.message.headers[HEADER.solo] === undefined ? headers : { ...headers, [HEADER.solo]: '' }
}

/** A copy is new to the broker: what is known of the message's past goes with it. */
function sameAttemptHeaders({ attempt, mayHaveRun }: HeldCall): Headers {
  return mayHaveRun ? { [HEADER.attempt]: String(attempt), [HEADER.ran]: '1' } : {}
}
