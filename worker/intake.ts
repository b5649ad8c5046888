import type { Delivery } from '../broker-adapters/adapter.ts'
import { isExpired, readDeadline } from '../protocol/deadline.ts'
import { attemptOf, HEADER, integerHeader } from '../protocol/headers.ts'
import { HOST_ID } from '../protocol/host-id.ts'
import { isReplayed } from '../protocol/replay.ts'
import { cancelled, crashed, expired } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import type { ServedQueue } from './served-queue.ts'
import type { Outcome } from './settlement.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** After so many hand-backs, for whatever reason, a message is run alone: only then its crashes count. */
const SUSPECT_HAND_BACKS = 2
const MAX_SOLO_CRASHES = 3
/** A net, should running alone not come about: far above what a rolling restart or a flaky network gives back. */
export const MAX_HAND_BACKS = 100
const MAX_ADDRESS_CHARS = 512
const MAX_HISTORY_CHARS = 2048

/** Reads what is needed to decide; the body is looked at when its turn comes. */
export function holdCall(queue: ServedQueue, delivery: Delivery, parts: WorkerParts): HeldCall {
  const { message } = delivery
  const { headers } = message
  return {
    queue,
    message,
    method: queue.methods.get(wireText(headers[HEADER.method])),
    deadline: readDeadline(headers, HOST_ID),
    replyAddress: replyAddressOf(delivery, parts),
    delivery,
    spares: [],
    attempt: attemptOf(headers),
    history: wireText(headers[HEADER.history], MAX_HISTORY_CHARS),
    stage: 'waiting',
    dueAt: 0,
    leave: undefined,
    isBegun: false,
    running: undefined,
    isCancelled: false,
    stream: undefined,
    mayHaveRun:
      !parts.adapter.capabilities.provesFirstDelivery ||
      delivery.redelivered ||
      headers[HEADER.ran] !== undefined ||
      headers[HEADER.resent] !== undefined ||
      isReplayed(message),
    given: integerHeader(headers, HEADER.given) ?? 0,
    isSolo: integerHeader(headers, HEADER.solo) !== undefined,
  }
}

/** It came back so often that it may be what ends its workers, or only have been beside that. */
export function isSuspect({ isSolo, delivery }: HeldCall): boolean {
  return !isSolo && (delivery.handBacks ?? 0) >= SUSPECT_HAND_BACKS
}

/** How often a worker ended while it ran this one alone: before this copy was stored, and since. */
export function soloCrashesOf({ message, delivery }: Pick<HeldCall, 'message' | 'delivery'>): number {
  return (integerHeader(message.headers, HEADER.solo) ?? 0) + (delivery.handBacks ?? 0)
}

/** Why a call is not run at all; undefined: it may. */
export function refusalOf(call: HeldCall, parts: WorkerParts): Outcome | undefined {
  return refuseCrashed(call) ?? refuseExpired(call, parts) ?? refuseCancelled(call)
}

/** The same when its turn comes: time has passed. A cancel would have taken it out of the line. */
export function refusalAtTurn(call: HeldCall, parts: WorkerParts): Outcome | undefined {
  return call.delivery.isLost ? { kind: 'lost' } : refuseExpired(call, parts)
}

function refuseCrashed(call: HeldCall): Outcome | undefined {
  const handBacks = call.delivery.handBacks ?? 0
  if (call.isSolo && soloCrashesOf(call) > MAX_SOLO_CRASHES) return crashed(call, soloCrashesOf(call))
  return handBacks >= MAX_HAND_BACKS ? crashed(call, handBacks) : undefined
}

function refuseExpired(call: HeldCall, { now, core }: WorkerParts): Outcome | undefined {
  const { deadline } = call
  const at = now()
  if (deadline === undefined || !isExpired(deadline, at)) return undefined
  const outcome = expired(call, deadline, at)
  if (!deadline.isSameClock && outcome.kind === 'expired')
    core.log('warn', 'EXPIRED', outcome.failure.message, `host ${wireText(call.message.headers[HEADER.host], 64)}`)
  return outcome
}

function refuseCancelled(call: HeldCall): Outcome | undefined {
  if (isReplayed(call.message)) return undefined // it was its former self that was cancelled
  return call.queue.tombstones.has(call.message.id) ? cancelled(call, 'not entered') : undefined
}

/** Undefined: nobody waits, or not where this worker may write to. */
function replyAddressOf({ message }: Delivery, { core, count, isReplyAddress }: WorkerParts): string | undefined {
  const replyTo = wireText(message.replyTo, MAX_ADDRESS_CHARS + 1)
  if (replyTo === '') return undefined
  if (isReplyAddress(replyTo)) return replyTo
  count('refusedReplyAddress')
  core.log(
    'warn',
    'REPLY_ADDRESS',
    `call ${message.id} wants its reply at an address that is no inbox of '${core.namespace}' nor one of replyAddresses; it gets none`,
  )
  return undefined
}
