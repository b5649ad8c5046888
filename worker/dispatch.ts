import type { Delivery } from '../broker-adapters/adapter.ts'
import type { CancelMessage } from '../protocol/cancel-message.ts'
import { monotonicMs } from '../protocol/clock.ts'
import { isExpired, readDeadline } from '../protocol/deadline.ts'
import { BrokerError, CallError, RemoteError } from '../protocol/errors.ts'
import { attemptOf, HEADER } from '../protocol/headers.ts'
import { HOST_ID } from '../protocol/host-id.ts'
import { isValidId } from '../protocol/ids.ts'
import { Attempt, OVERRUN_GRACE_MS, type AbortCause } from './attempt.ts'
import { cancelled, crashed, expired, nameOf, stackOf, timedOut } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import { HOLD_MS } from './retry-policy.ts'
import { runAttempt } from './run-attempt.ts'
import type { ServedQueue } from './served-queue.ts'
import { createSettler, releaseAll } from './settle-call.ts'
import type { Outcome } from './settlement.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** What happens to a delivery, from the hand-over to its settlement. */
export interface Dispatcher {
  /** Never throws. */
  accept(queue: ServedQueue, delivery: Delivery): void
  cancel(queue: ServedQueue, message: CancelMessage): void
  /** Every slot is taken by a handler that ran over its time. */
  readonly isStuck: boolean
  /** What has not begun goes to others. */
  giveBackWaiting(queues: readonly ServedQueue[]): void
  /** Nothing begins from now on; what waits goes back, retries that were held are stored. */
  stopBeginning(queues: readonly ServedQueue[]): void
  abortRunning(queues: readonly ServedQueue[]): void
  /** Gives the calls of handlers that still run to others; what these handlers return is ignored. */
  abandonRunning(queues: readonly ServedQueue[]): void
}

/** A net against messages that end their workers: far above what a rolling restart or a flaky network gives back. */
export const MAX_HAND_BACKS = 100
const MAX_ADDRESS_CHARS = 512

export function createDispatcher(
  parts: WorkerParts,
  { onStuckChange }: { readonly onStuckChange: (isStuck: boolean) => void },
): Dispatcher {
  const { limiter, wheel, count, core } = parts
  const settler = createSettler(parts, { retryLater })
  let isStopped = false
  let overrunSlots = 0
  let isStuck = false
  const allCalls = (queues: readonly ServedQueue[]): HeldCall[] => queues.flatMap((queue) => queue.calls.all())

  return {
    accept(queue, delivery) {
      try {
        accept(queue, delivery)
      } catch (error) {
        core.log('error', 'WORKER_BUG', `a delivery of ${queue.name} failed inside the worker: ${stackOf(error)}`)
        refuseUnnamed(delivery, 'it made the worker fail')
      }
    },
    cancel(queue, { ids, until }) {
      const unknown = ids.filter((id) => !cancelHeld(queue, id))
      queue.tombstones.add(unknown, until)
    },
    get isStuck() {
      return isStuck
    },
    giveBackWaiting(queues) {
      for (const call of allCalls(queues)) if (call.stage === 'waiting') giveBackUnbegun(call)
    },
    stopBeginning(queues) {
      isStopped = true
      for (const call of allCalls(queues)) giveBackUnbegun(call)
    },
    abortRunning(queues) {
      const reason = new CallError('CLOSED', 'the worker is closing and its grace is over')
      for (const call of allCalls(queues)) call.running?.abort('drain', reason)
    },
    abandonRunning(queues) {
      for (const call of allCalls(queues)) {
        if (call.running === undefined) continue
        call.running.isOver = true
        call.running = undefined
        call.queue.calls.forget(call)
        releaseAll(call)
      }
    },
  }

  function accept(queue: ServedQueue, delivery: Delivery): void {
    queue.lastDeliveryAt = monotonicMs()
    if (isStopped || isStuck) return giveBackAtOnce(delivery)
    if (!isValidId(wireText(delivery.message.id)))
      return refuseUnnamed(delivery, 'its id is not 1 to 64 of A-Z, a-z, 0-9, ., _ and -')
    if (isDuplicate(queue, delivery)) return
    if (delivery.isLost) return count('lostDeliveries')
    const call = holdCall(queue, delivery, parts)
    queue.calls.add(call)
    delivery.onLost(() => lose(call, delivery))
    if (call.stage === 'done') return
    const refusal = refuseCrashed(call) ?? refuseExpired(call) ?? refuseCancelled(call)
    if (refusal === undefined) waitForSlot(call)
    else settler.settle(call, refusal)
  }

  function giveBackAtOnce(delivery: Delivery): void {
    count('released')
    delivery.release()
  }

  /** Nothing can be said to its caller, and no second copy be told from it. */
  function refuseUnnamed(delivery: Delivery, problem: string): void {
    count('invalidMessages')
    count('deadLettered')
    const why = { code: 'INVALID_MESSAGE', reason: `the message cannot be read: ${problem}`, attempts: 1 }
    delivery.deadLetter(why).catch((error: unknown) => core.log('error', 'DEAD_LETTER', stackOf(error)))
  }

  /** A running call keeps its run: the new delivery takes the place of the lost one, or is settled with it. */
  function isDuplicate(queue: ServedQueue, delivery: Delivery): boolean {
    const held = queue.calls.get(delivery.message.id)
    if (held !== undefined) {
      count('duplicates')
      held.mayHaveRun = true
      if (held.delivery.isLost) held.delivery = delivery
      else held.spares.push(delivery)
      delivery.onLost(() => lose(held, delivery))
      return true
    }
    if (!queue.calls.isFinished(delivery.message.id)) return false
    count('duplicates')
    delivery.ack()
    return true
  }

  function refuseCrashed(call: HeldCall): Outcome | undefined {
    const handBacks = call.delivery.handBacks ?? 0
    return handBacks >= MAX_HAND_BACKS ? crashed(call, handBacks) : undefined
  }

  function refuseExpired(call: HeldCall): Outcome | undefined {
    const { deadline } = call
    const now = parts.now()
    if (deadline === undefined || !isExpired(deadline, now)) return undefined
    const outcome = expired(call, deadline, now)
    if (!deadline.isSameClock && 'failure' in outcome)
      core.log('warn', 'EXPIRED', outcome.failure.message, `host ${wireText(call.message.headers[HEADER.host], 64)}`)
    return outcome
  }

  function refuseCancelled(call: HeldCall): Outcome | undefined {
    return call.queue.tombstones.has(call.message.id) ? cancelled(call, 'not entered') : undefined
  }

  function waitForSlot(call: HeldCall): void {
    if (isStopped || isStuck) return settler.giveBack(call)
    call.stage = 'waiting'
    call.isBegun = false
    const leave = limiter.wait(call.method?.lane ?? limiter.common, () => begin(call))
    if (!call.isBegun) call.leave = leave
  }

  /** It has a slot. Time has passed since it was looked at. */
  function begin(call: HeldCall): void {
    call.isBegun = true
    call.leave = undefined
    const lane = call.method?.lane ?? limiter.common
    const refusal: Outcome | undefined = call.delivery.isLost ? { kind: 'lost' } : refuseExpired(call)
    if (refusal !== undefined) {
      settler.settle(call, refusal)
      return limiter.free(lane)
    }
    const attempt = new Attempt(call, parts)
    call.running = attempt
    call.stage = 'running'
    call.queue.running++
    attempt.timer = wheel.schedule(attempt.startedAt + attempt.deadline - parts.now(), () => endTime(call, attempt))
    void runAttempt(call, attempt, parts).then((outcome) => end(call, attempt, outcome))
  }

  function endTime(call: HeldCall, attempt: Attempt): void {
    const isDeadline = call.deadline !== undefined && parts.now() >= call.deadline.at
    const text = `${nameOf(call)} ${isDeadline ? "has reached its caller's deadline" : 'has used up the time of one attempt'}`
    interrupt(call, attempt, {
      cause: 'time',
      reason: isDeadline ? new CallError('TIMEOUT', text) : new RemoteError('ATTEMPT_TIMEOUT', text),
    })
  }

  /** The handler's signal aborts; then it has a second. */
  function interrupt(
    call: HeldCall,
    attempt: Attempt,
    { cause, reason }: { readonly cause: AbortCause; readonly reason: CallError | RemoteError | BrokerError },
  ): void {
    attempt.timer?.cancel()
    attempt.timer = wheel.schedule(monotonicMs() + OVERRUN_GRACE_MS, () => overrun(call, attempt))
    attempt.abort(cause, reason)
  }

  /** Its call is settled without it; its slot stays taken until it returns. */
  function overrun(call: HeldCall, attempt: Attempt): void {
    if (attempt.isOverrun) return
    attempt.isOverrun = true
    attempt.isOver = true
    overrunSlots++
    count('overrun')
    const ranMs = monotonicMs() - attempt.startedAt
    core.log(
      'warn',
      'OVERRUN',
      `the handler of ${nameOf(call)} ignores its signal after ${Math.round(ranMs)} ms and keeps its slot`,
      nameOf(call),
    )
    if (call.running === attempt) {
      call.running = undefined
      settler.settle(call, verdictOn(call, attempt, timedOut(call, ranMs - OVERRUN_GRACE_MS)))
    }
    if (overrunSlots >= parts.options.concurrency) setStuck(true, call.queue)
  }

  function end(call: HeldCall, attempt: Attempt, outcome: Outcome): void {
    attempt.timer?.cancel()
    call.queue.running--
    if (attempt.isOverrun) overrunSlots--
    attempt.isOver = true
    if (call.running === attempt) {
      call.running = undefined
      if (wasInterruptedByLoss(call, attempt, outcome)) waitForSlot(call)
      else settler.settle(call, verdictOn(call, attempt, outcome))
    }
    limiter.free(call.method?.lane ?? limiter.common)
    if (isStuck) setStuck(false, call.queue)
  }

  /** The broker took the call back and then gave it to this worker again: it starts anew, and that is no further attempt. */
  function wasInterruptedByLoss(call: HeldCall, attempt: Attempt, outcome: Outcome): boolean {
    return attempt.abortCause === 'lost' && !call.delivery.isLost && outcome.kind === 'threw' && !call.isCancelled
  }

  function setStuck(next: boolean, queue: ServedQueue): void {
    if (isStuck === next) return
    isStuck = next
    if (next)
      core.log(
        'error',
        'ALL_SLOTS_OVERRUN',
        'every slot is taken by a handler that ignores its signal: nothing is consumed',
        queue.name,
      )
    onStuckChange(next)
  }

  /** Unacked while it is short, so that it stays here; else the broker keeps it. */
  function retryLater(call: HeldCall, delayMs: number): void {
    call.stage = 'held'
    if (isStopped || delayMs > HOLD_MS) return settler.giveBack(call, { delayMs })
    call.dueAt = monotonicMs() + delayMs
    const timer = wheel.schedule(call.dueAt, () => {
      call.leave = undefined
      waitForSlot(call)
    })
    call.leave = () => timer.cancel()
  }

  function giveBackUnbegun(call: HeldCall): void {
    if (call.leave === undefined) return
    call.leave()
    call.leave = undefined
    settler.giveBack(call, { delayMs: call.stage === 'held' ? call.dueAt - monotonicMs() : 0 })
  }

  function lose(call: HeldCall, delivery: Delivery): void {
    if (call.stage === 'done') return
    count('lostDeliveries')
    const spareAt = call.spares.indexOf(delivery)
    if (spareAt >= 0) call.spares.splice(spareAt, 1)
    if (call.delivery !== delivery) return
    const next = call.spares.shift()
    if (next !== undefined) {
      call.delivery = next
      return
    }
    call.leave?.()
    if (call.leave !== undefined) settler.settle(call, { kind: 'lost' })
    call.leave = undefined
    if (call.running !== undefined && call.running.abortCause === undefined)
      interrupt(call, call.running, {
        cause: 'lost',
        reason: new BrokerError('BROKER_UNAVAILABLE', `the broker took ${nameOf(call)} back from this worker`),
      })
  }

  /** True: it is held here. */
  function cancelHeld(queue: ServedQueue, id: string): boolean {
    const call = queue.calls.get(id)
    if (call === undefined) return queue.calls.isFinished(id)
    if (call.leave !== undefined) {
      call.leave()
      call.leave = undefined
      settler.settle(call, cancelled(call, 'not entered'))
    } else if (call.running !== undefined && !call.isCancelled) {
      call.isCancelled = true
      if (call.running.abortCause === undefined)
        interrupt(call, call.running, {
          cause: 'cancelled',
          reason: new CallError('CANCELLED', `the caller cancelled ${nameOf(call)}`),
        })
    }
    return true
  }
}

/** Who had the last word: the broker, the caller, the end of the drain, or the handler. */
function verdictOn(call: HeldCall, attempt: Attempt, outcome: Outcome): Outcome {
  if (call.delivery.isLost) return { kind: 'lost' }
  if (call.isCancelled) {
    if (attempt.isOverrun) return cancelled(call, 'runs on')
    return cancelled(call, attempt.isEntered ? 'ended' : 'not entered')
  }
  if (attempt.abortCause === 'drain' && outcome.kind === 'threw') return { kind: 'givenBack' }
  return outcome
}

function holdCall(queue: ServedQueue, delivery: Delivery, parts: WorkerParts): HeldCall {
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
    history: wireText(headers[HEADER.history], 2048),
    stage: 'waiting',
    dueAt: 0,
    leave: undefined,
    isBegun: false,
    running: undefined,
    isCancelled: false,
    mayHaveRun:
      !parts.adapter.capabilities.provesFirstDelivery ||
      delivery.redelivered ||
      headers[HEADER.ran] !== undefined ||
      headers[HEADER.resent] !== undefined,
  }
}

/** A worker writes only to inboxes of its own namespace: a stranger's message must not make it post elsewhere. */
function replyAddressOf({ message }: Delivery, { core, count }: WorkerParts): string | undefined {
  const replyTo = wireText(message.replyTo, MAX_ADDRESS_CHARS + 1)
  if (message.type === 'send' || replyTo === '') return undefined
  if (replyTo.startsWith(`${core.namespace}.`) && replyTo.length <= MAX_ADDRESS_CHARS) return replyTo
  count('refusedReplyAddress')
  core.log(
    'warn',
    'REPLY_ADDRESS',
    `call ${message.id} wants its reply at an address that is not of '${core.namespace}'; it gets none`,
  )
  return undefined
}
