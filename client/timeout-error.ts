import type { BrokerCore } from '../broker-adapters/broker.ts'
import { BrokerError, CallError, type ReplytoError } from '../protocol/errors.ts'
import { detailsOf, type CallState } from './call-state.ts'
import type { Seen } from './queue-watch.ts'

export interface TimeoutFacts {
  readonly core: BrokerCore
  /** Of the queue when it was asked; undefined: not asked or not told. */
  readonly seen: Seen | undefined
}

/** The deadline has passed: says where the call was, and what may have kept it there. */
export function timeoutError(state: CallState, { core, seen }: TimeoutFacts): ReplytoError {
  const waited = Math.round(state.endsAt - state.startedAt)
  if (!core.wasUpSince(state.startedAt)) {
    return new BrokerError('BROKER_UNAVAILABLE', `${core.url} could not be reached for ${waited} ms`, detailsOf(state))
  }
  const where = `group ${state.target.queue.group} at ${core.url}`
  return new CallError(
    'TIMEOUT',
    `no ${state.kind === 'send' ? 'confirmation' : 'answer'} within ${waited} ms, ${where}: ${whatIsKnown(state, seen)}`,
    detailsOf(state),
  )
}

function whatIsKnown(state: CallState, seen: Seen | undefined): string {
  if (state.waitsForItself) {
    return 'it was made inside a handler of the same queue whose worker had no free slot; calls to the own queue need more concurrency, or a group of their own'
  }
  if (state.evidence !== undefined) return 'the answer has come and is still being checked'
  if (state.stage === 'running') return 'a worker has reported progress and not ended'
  if (state.stage === 'outbox')
    return state.copies === 0 ? 'it was still in the outbox' : 'the broker did not confirm it'
  if (seen?.isPaused === true) return 'the queue is paused'
  if (seen?.consumers === 0) return 'no worker consumes the queue'
  return seen === undefined
    ? 'it waited in the queue or runs'
    : `it waited in the queue or runs; ${seen.consumers} workers consume it`
}
