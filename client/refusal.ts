import { isErrorCode } from '../protocol/error-codes.ts'
import { BrokerError, CallError, errorOf, messageOf, ReplytoError } from '../protocol/errors.ts'
import { detailsOf, type CallState } from './call-state.ts'

/** Why the client, its broker or its queue takes no calls, as this call's own error. */
export function refusalFor(state: CallState, refusal: unknown): ReplytoError {
  const details = detailsOf(state, { cause: refusal })
  if (!(refusal instanceof ReplytoError) || !isErrorCode(refusal.code))
    return new BrokerError('BROKER_REFUSED', messageOf(refusal), details)
  if (refusal.code === 'CLOSED') return new CallError('CLOSED', 'the client or its broker was closed', detailsOf(state))
  return errorOf(refusal.code, refusal.message.replace(`[${refusal.code}] `, ''), details)
}
