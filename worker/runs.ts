import { BrokerError, CallError, RemoteError } from '../protocol/errors.ts'
import { Attempt, OVERRUN_GRACE_MS, type AbortCause } from './attempt.ts'
import { cancelled, nameOf, stackOf, timedOut } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import { refusalAtTurn } from './intake.ts'
import type { Lane } from './limiter.ts'
import { runAttempt } from './run-attempt.ts'
import type { Outcome } from './settlement.ts'
import type { WorkerParts } from './worker-parts.ts'

/** The handlers that run: their slots, their time, and how each run ends. */
export interface Runs {
  /** Asks for a slot; the function that gives up the place in the line is `call.leave`. */
  begin(call: HeldCall): void
  /** The caller wants no answer any more. */
  cancel(call: HeldCall): void
  /** The broker took its delivery back; it may hand it over again, so the run goes on to its end. */
  lose(call: HeldCall): void
  /** The grace of a drain is over. */
  abort(call: HeldCall): void
  /** What the handler does from now on changes nothing. */
  abandon(call: HeldCall): void
  /** Every slot is taken by a handler that ran over its time. */
  readonly isStuck: boolean
}

export interface RunsOptions {
  readonly onEnd: (call: HeldCall, outcome: Outcome) => void
  /** Its run was interrupted for a reason that is gone: it starts anew, and that is no further attempt. */
  readonly onRepeat: (call: HeldCall) => void
  /** It had a slot, but there is no room for its answer. */
  readonly onNoRoom: (call: HeldCall) => void
  readonly onStuckChange: (isStuck: boolean) => void
}

export function createRuns(parts: WorkerParts, { onEnd, onRepeat, onNoRoom, onStuckChange }: RunsOptions): Runs {
  const { limiter, wheel, count, core } = parts
  let overrunSlots = 0
  let isStuck = false
  const laneOf = (call: HeldCall): Lane => call.method?.lane ?? limiter.common

  return {
    begin(call) {
      call.isBegun = false
      call.stream = undefined // that of a run that was lost: what is said of this one is not said of that
      const leave = limiter.wait(laneOf(call), () => useSlot(call))
      if (!call.isBegun) call.leave = leave
    },
    cancel(call) {
      if (call.running === undefined || call.isCancelled) return
      call.isCancelled = true
      const { abortCause } = call.running
      if (abortCause === undefined || abortCause === 'lost')
        interrupt(call, call.running, {
          cause: 'cancelled',
          reason: new CallError('CANCELLED', `the caller cancelled ${nameOf(call)}`),
        })
    },
    lose(call) {
      call.running?.abort(
        'lost',
        new BrokerError('BROKER_UNAVAILABLE', `the broker took ${nameOf(call)} back from this worker`),
      )
    },
    abort(call) {
      call.running?.abort('drain', new CallError('CLOSED', 'the worker is closing and its grace is over'))
    },
    abandon(call) {
      if (call.running !== undefined) call.running.isOver = true
      call.running = undefined
    },
    get isStuck() {
      return isStuck
    },
  }

  /** A slot that was given is freed in every case. */
  function useSlot(call: HeldCall): void {
    call.isBegun = true
    call.leave = undefined
    const refusal = refusalAtTurn(call, parts)
    if (refusal !== undefined || !hasRoomFor(call, parts)) {
      if (refusal === undefined) onNoRoom(call)
      else onEnd(call, refusal)
      return limiter.free(laneOf(call))
    }
    const attempt = new Attempt(call, parts)
    call.running = attempt
    call.stage = 'running'
    call.queue.running++
    const endsAt = attempt.startedAt + attempt.deadline - parts.now()
    if (endsAt < Infinity) attempt.timer = wheel.schedule(endsAt, () => endTime(call, attempt))
    runAttempt(call, attempt, parts)
      .then((outcome) => end(call, attempt, outcome))
      .catch((error: unknown) => {
        core.log('error', 'WORKER_BUG', `the end of ${nameOf(call)} failed inside the worker: ${stackOf(error)}`)
      })
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
    { cause, reason }: { readonly cause: AbortCause; readonly reason: CallError | RemoteError },
  ): void {
    attempt.timer?.cancel()
    attempt.timer = wheel.schedule(core.clock.monotonic() + OVERRUN_GRACE_MS, () => overrun(call, attempt))
    attempt.abort(cause, reason)
  }

  /** Its call is settled without it; its slot stays taken until it returns. */
  function overrun(call: HeldCall, attempt: Attempt): void {
    attempt.isOverrun = true
    attempt.isOver = true
    overrunSlots++
    count('overrun')
    const ranMs = Math.round(core.clock.monotonic() - attempt.startedAt)
    const name = nameOf(call)
    core.log('warn', 'OVERRUN', `the handler of ${name} ignores its signal after ${ranMs} ms and keeps its slot`, name)
    if (call.running === attempt) {
      call.running = undefined
      onEnd(call, verdictOn(call, attempt, timedOut(call, ranMs - OVERRUN_GRACE_MS)))
    }
    if (overrunSlots >= parts.options.concurrency) setStuck(true, call)
  }

  function end(call: HeldCall, attempt: Attempt, outcome: Outcome): void {
    attempt.timer?.cancel()
    attempt.isOver = true
    call.queue.running--
    if (attempt.isOverrun) overrunSlots--
    if (call.running === attempt) {
      call.running = undefined
      if (isRepeated(call, attempt, outcome)) onRepeat(call)
      else onEnd(call, verdictOn(call, attempt, outcome))
    }
    limiter.free(laneOf(call))
    if (isStuck && overrunSlots < parts.options.concurrency) setStuck(false, call)
  }

  function setStuck(next: boolean, { queue }: HeldCall): void {
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
}

/** Nobody is answered of a send. */
function hasRoomFor({ message }: HeldCall, { outbox }: WorkerParts): boolean {
  return message.type === 'send' || outbox.hasRoom
}

/** The broker took the call back, which ended its run, and then gave it to this worker again. */
function isRepeated(call: HeldCall, attempt: Attempt, outcome: Outcome): boolean {
  return attempt.abortCause === 'lost' && !call.delivery.isLost && outcome.kind === 'threw' && !call.isCancelled
}

/** It was computed as if nothing had happened: the loss was never told to the handler, or not in time. */
function isWhole(attempt: Attempt, { kind }: Outcome): boolean {
  return kind === 'returned' && (attempt.abortCause === undefined || !attempt.isSignalSeen)
}

/** Who has the last word: the broker, the caller, the end of a drain, or the handler. */
function verdictOn(call: HeldCall, attempt: Attempt, outcome: Outcome): Outcome {
  if (call.delivery.isLost && !isWhole(attempt, outcome)) return { kind: 'lost' }
  if (call.isCancelled) {
    if (attempt.isOverrun) return cancelled(call, 'runs on')
    return cancelled(call, attempt.isEntered ? 'ended' : 'not entered')
  }
  if (attempt.abortCause === 'drain' && outcome.kind === 'threw') return { kind: 'givenBack' }
  return outcome
}
