import type { DeadLetterReason, Delivery } from '../broker-adapters/adapter.ts'
import { HEADER, integerHeader } from '../protocol/headers.ts'
import type { Reply } from '../protocol/message.ts'
import { redact } from '../protocol/redact.ts'
import { isReplayed } from '../protocol/replay.ts'
import { lastMoment, untilExpired } from './attempt.ts'
import { describeThrown, nameOf, stackOf } from './failures.ts'
import { isSettled, type HeldCall } from './held-calls.ts'
import { givenBackHeaders, isolatedHeaders } from './give-back.ts'
import { errorReply, resultReply } from './replies.ts'
import type { ConfirmedOptions, ReplyFate } from './reply-outbox.ts'
import { appendHistory, attemptsOf, retryDelayMs } from './retry-policy.ts'
import { decideSettlement, type Outcome, type Settlement, type SettlementFacts } from './settlement.ts'
import type { WorkerParts } from './worker-parts.ts'

/** Carries out what `decideSettlement` says: each delivery is settled here, exactly once. */
export interface Settler {
  /** Does nothing for a call that is settled or being settled. */
  settle(call: HeldCall, outcome: Outcome): void
  /** Gives it back to the broker; what was tried here already is stored with it. `delayMs`: of a retry that was held. */
  giveBack(call: HeldCall, options?: { readonly delayMs: number }): void
  /** Stores it as one that runs alone. */
  isolate(call: HeldCall): void
  /** Gives the call of a handler that runs on to others; resolves when that is done. */
  abandon(call: HeldCall): Promise<void>
}

/** So long after its deadline an answer is still brought to the broker. */
const ANSWER_PAST_DEADLINE_MS = 10_000
/** For calls without a deadline, which only other programs make. */
const ANSWER_WITHOUT_DEADLINE_MS = 600_000

export function createSettler(
  parts: WorkerParts,
  { retryLater }: { readonly retryLater: (call: HeldCall, delayMs: number) => void },
): Settler {
  const { adapter, core, outbox, count } = parts

  return {
    settle(call, outcome) {
      if (isSettled(call)) return
      call.stage = 'settling'
      countOutcome(outcome, count)
      guarded(call, () => carryOut(call, outcome, decideSettlement(outcome, factsFor(call, outcome, parts))))
    },
    giveBack(call, { delayMs } = { delayMs: 0 }) {
      if (isSettled(call)) return
      call.stage = 'settling'
      guarded(call, () => handBack(call, delayMs))
    },
    isolate(call) {
      call.stage = 'settling'
      count('isolated')
      const text = `${nameOf(call)} came back from its workers: it is run alone, should it be what ends them`
      core.log('warn', 'ISOLATED', text, call.queue.name)
      guarded(call, () => storeCopy(call, { delayMs: 0, headers: isolatedHeaders(call) }))
    },
    async abandon(call) {
      call.stage = 'settling'
      await goBack(call, 0)
    },
  }

  /** Whatever goes wrong inside, the delivery does not stay held for ever. */
  function guarded(call: HeldCall, settle: () => Promise<void>): void {
    settle().catch((error: unknown) => {
      core.log('error', 'WORKER_BUG', `settling ${nameOf(call)} failed inside the worker: ${stackOf(error)}`)
      if (call.stage === 'done') return
      call.queue.calls.forget(call)
      releaseAll(call)
    })
  }

  async function carryOut(call: HeldCall, outcome: Outcome, settlement: Settlement): Promise<void> {
    switch (settlement.act) {
      case 'nothing':
        return call.queue.calls.forget(call)
      case 'release':
        return handBack(call, 0)
      case 'retry':
        return tryAgain(call, outcome, settlement.delayMs)
      case 'complete':
        return complete(call, outcome)
      case 'fail':
        return fail(call, outcome, settlement)
    }
  }

  async function handBack(call: HeldCall, delayMs: number): Promise<void> {
    count('released')
    await goBack(call, delayMs)
  }

  async function goBack(call: HeldCall, delayMs: number): Promise<void> {
    const headers = givenBackHeaders(call)
    if (headers !== undefined) return storeCopy(call, { delayMs: Math.max(0, Math.round(delayMs)), headers })
    releaseAll(call)
    call.queue.calls.forget(call)
  }

  /** The broker may hand the copy over, to this worker too, before it says that it has stored it. */
  async function storeCopy(call: HeldCall, copy: Parameters<Delivery['retry']>[0]): Promise<void> {
    call.stage = 'leaving'
    await onDelivery(call, (delivery) => delivery.retry(copy))
    ackSpares(call)
    call.queue.calls.forget(call)
  }

  async function tryAgain(call: HeldCall, outcome: Outcome, delayMs: number): Promise<void> {
    count('retried')
    call.history = appendHistory(call.history, call.attempt, detailOf(outcome))
    call.attempt++
    call.mayHaveRun = true
    retryLater(call, delayMs)
  }

  async function complete(call: HeldCall, outcome: Outcome): Promise<void> {
    if (outcome.kind !== 'returned') throw new Error(`an outcome ${outcome.kind} cannot be completed`)
    // It is true whoever has the delivery now. Without it a handler that blocks its process longer than the broker waits would
    // be run again and again, and never answered.
    const { body } = outcome
    const fate = await answer(call, resultReply(call, parts, body), { isWanted: () => true })
    if (fate === 'tooLarge') return answerTooLarge(call, body.length)
    if (fate === 'dropped') return
    count(call.delivery.isLost ? 'lateResults' : 'completed')
    finish(call)
  }

  /** Kept first, answered second, acked last: a crash in between only repeats. */
  async function fail(
    call: HeldCall,
    outcome: Outcome,
    { keep, executed, failure }: Extract<Settlement, { act: 'fail' }>,
  ): Promise<void> {
    if (outcome.kind !== 'expired' && outcome.kind !== 'cancelled') count('failed')
    if (keep && call.replyAddress === undefined) return deadLetter(call, outcome)
    if (keep && !(await park(call, outcome))) return drop(call)
    const isWanted = (): boolean => !call.delivery.isLost
    const fate = await answer(call, errorReply(call, parts, { failure, executed }), { isWanted })
    if (fate !== 'dropped') finish(call)
  }

  async function deadLetter(call: HeldCall, outcome: Outcome): Promise<void> {
    const why = whyOf(call, outcome)
    const isKept = await onDelivery(call, (delivery) => delivery.deadLetter(why))
    if (!isKept) return drop(call)
    count('deadLettered')
    ackSpares(call)
    call.queue.calls.finish(call)
  }

  /** False: the delivery is lost. After `answerUntil` it is not tried any more: the caller at least is told. */
  async function park(call: HeldCall, outcome: Outcome): Promise<boolean> {
    const why = whyOf(call, outcome)
    const giveUpAt = answerUntil(call, parts)
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 2_000)) {
      try {
        await adapter.park(call.queue.ref, call.message, why)
        count('deadLettered')
        return true
      } catch (error) {
        if (call.delivery.isLost || outbox.isClosed) return false
        core.log(
          'error',
          'DEAD_LETTER',
          `a dead letter of ${nameOf(call)} is not stored: ${describeThrown(error)}`,
          call.queue.name,
        )
        if (core.clock.monotonic() + waitMs > giveUpAt) return true
      }
      await new Promise<void>((resolve) => setTimeout(resolve, waitMs)) // also ends behind the worker's close
    }
  }

  /** The broker takes less than `maxPayloadBytes`, which shows only now. */
  async function answerTooLarge(call: HeldCall, sizeBytes: number): Promise<void> {
    count('failed')
    const message = `${nameOf(call)} answered with ${sizeBytes} bytes, which is more than the broker takes`
    const failure = { code: 'PAYLOAD_TOO_LARGE', message } as const
    const fate = await answer(call, errorReply(call, parts, { failure, executed: 'yes' }), { isWanted: () => true })
    if (fate !== 'dropped') finish(call)
  }

  /** 'dropped': not known to be stored, so the delivery must not be acked. */
  async function answer(
    call: HeldCall,
    reply: Reply,
    { isWanted }: Pick<ConfirmedOptions, 'isWanted'>,
  ): Promise<ReplyFate> {
    if (call.replyAddress === undefined) return 'stored'
    const fate = await outbox.send(call.replyAddress, reply, {
      deadlineAt: deadlineOf(call, parts),
      giveUpAt: answerUntil(call, parts),
      isWanted,
    })
    if (fate === 'dropped') drop(call)
    if (fate === 'gone') count('repliesGone')
    if (fate === 'tooLate') count('repliesAbandoned')
    return fate
  }

  function finish(call: HeldCall): void {
    if (call.stage === 'done') return
    call.queue.calls.finish(call)
    if (!call.delivery.isLost) call.delivery.ack()
    ackSpares(call)
  }

  /** Somebody else will have it: the broker took it back, or gets it back now. */
  function drop(call: HeldCall): void {
    if (call.stage === 'done') return
    call.queue.calls.forget(call)
    releaseAll(call)
  }
}

/** A delivery that is lost while it is settled may be followed by another one of the same call. False: it is lost. */
async function onDelivery(call: HeldCall, settle: (delivery: Delivery) => Promise<void>): Promise<boolean> {
  for (;;) {
    const { delivery } = call
    await settle(delivery)
    if (call.delivery === delivery) return !delivery.isLost
  }
}

function ackSpares(call: HeldCall): void {
  for (const delivery of call.spares.splice(0)) if (!delivery.isLost) delivery.ack()
}

function releaseAll(call: HeldCall): void {
  for (const delivery of [call.delivery, ...call.spares.splice(0)]) if (!delivery.isLost) delivery.release()
}

function factsFor(call: HeldCall, outcome: Outcome, { now, random }: WorkerParts): SettlementFacts {
  const facts = call.method?.facts
  const retryAfterMs = outcome.kind === 'threw' ? outcome.retryAfterMs : undefined
  const type = isReplayed(call.message) ? 'send' : call.message.type // nobody waits for it, so it is kept like one
  return {
    type,
    attempt: call.attempt,
    // Items that were sent may have been read: they cannot be taken back for another attempt.
    attempts: (call.stream?.chunks ?? 0) > 0 ? call.attempt : attemptsOf(facts, type),
    asksForRetry: (facts?.retry?.attempts ?? 1) > 1,
    retryDelayMs: retryDelayMs(facts, { attempt: call.attempt, retryAfterMs, random }),
    remainingMs: call.deadline === undefined ? undefined : lastMoment(call.deadline) - now(),
    isProvenFirst: !call.mayHaveRun,
  }
}

function countOutcome({ kind }: Outcome, count: WorkerParts['count']): void {
  if (kind === 'expired' || kind === 'cancelled') count(kind)
  if (kind === 'unreadable') count('invalidMessages')
}

/** Monotonic ms. */
function answerUntil(call: HeldCall, parts: WorkerParts): number {
  return deadlineOf(call, parts) + (call.deadline === undefined ? 0 : ANSWER_PAST_DEADLINE_MS)
}

/** Monotonic ms from which on nobody wants the answer; a kept one is read later too. */
function deadlineOf({ deadline, message, stream }: HeldCall, { now, core }: WorkerParts): number {
  if (stream !== undefined) return core.clock.monotonic() + stream.silenceMs // the deadline was that of its start
  const keptMs = integerHeader(message.headers, HEADER.keep) ?? 0
  if (deadline === undefined) return core.clock.monotonic() + Math.max(keptMs, ANSWER_WITHOUT_DEADLINE_MS)
  return core.clock.monotonic() + untilExpired(deadline, now()) + keptMs
}

function whyOf(call: HeldCall, outcome: Outcome): DeadLetterReason {
  const code = 'failure' in outcome ? outcome.failure.code : 'HANDLER_FAILED'
  return { code, reason: redact(appendHistory(call.history, call.attempt, detailOf(outcome))), attempts: call.attempt }
}

function detailOf(outcome: Outcome): string {
  if (outcome.kind === 'threw') return outcome.detail
  return 'failure' in outcome ? redact(outcome.failure.message) : outcome.kind
}
