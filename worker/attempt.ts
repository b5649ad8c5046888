import { MAX_CALL_DEPTH, type CallScope } from '../protocol/call-scope.ts'
import { CLOCK_TOLERANCE_MS, type WireDeadline } from '../protocol/deadline.ts'
import type { DeclaredError, ReplytoError } from '../protocol/errors.ts'
import { HEADER, integerHeader } from '../protocol/headers.ts'
import type { ScheduledTimer } from '../protocol/timer-wheel.ts'
import type { HeldCall } from './held-calls.ts'
import { WORKER_DEFAULTS } from './options.ts'
import type { WorkerParts } from './worker-parts.ts'

export type AbortCause = 'time' | 'cancelled' | 'lost' | 'drain'

/** After its signal aborted, a handler has so long to end before the attempt counts as failed. */
export const OVERRUN_GRACE_MS = 1_000

/**
 * One run of a handler. A class, since one is made per message: its signal is made on first use and it needs no closures.
 * It is what nested calls inherit.
 */
export class Attempt implements CallScope {
  readonly number: number
  /** Epoch ms. */
  readonly deadline: number
  readonly depth: number
  readonly queue: string
  /** Monotonic ms. */
  readonly startedAt: number
  /** The handler itself was called. */
  isEntered = false
  /** What it does from now on changes nothing. */
  isOver = false
  isOverrun = false
  abortCause: AbortCause | undefined
  timer: ScheduledTimer | undefined
  progressCount = 0
  /** What `ctx.fail` made. */
  failures: DeclaredError[] | undefined
  #controller: AbortController | undefined
  #reason: ReplytoError | undefined
  readonly #parts: WorkerParts

  constructor(call: HeldCall, parts: WorkerParts) {
    this.number = call.attempt
    this.startedAt = parts.core.clock.monotonic()
    this.depth = depthOf(call) + 1
    this.queue = call.queue.name
    this.#parts = parts
    this.deadline = endOf(call, parts.now())
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Somebody holds it, so an abort may have changed what the handler does. */
  get isSignalSeen(): boolean {
    return this.#controller !== undefined
  }

  get abortReason(): ReplytoError | undefined {
    return this.#reason
  }

  isPoolFull(): boolean {
    return this.#parts.limiter.isFull
  }

  /** The first cause stays. */
  abort(cause: AbortCause, reason: ReplytoError): void {
    if (this.abortCause !== undefined) return
    this.abortCause = cause
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

export function depthOf(call: HeldCall): number {
  return Math.min(integerHeader(call.message.headers, HEADER.depth) ?? 0, MAX_CALL_DEPTH + 1)
}

/** Epoch ms by this machine's clock: behind it a call is expired here. */
export function lastMoment(deadline: WireDeadline): number {
  return deadline.at + (deadline.isSameClock ? 0 : CLOCK_TOLERANCE_MS)
}

/** Until it is expired here; 0: it is. A clock of whole milliseconds still shows the last moment for one of them. */
export function untilExpired(deadline: WireDeadline, now: number): number {
  return Math.max(0, lastMoment(deadline) + 1 - now)
}

/** The attempt's time or the deadline, what is earlier. */
function endOf({ method, deadline, message }: HeldCall, now: number): number {
  // Its deadline is that of its start; then silence ends it, of either side.
  if (message.type === 'stream') return now + (method?.attemptTimeoutMs ?? Infinity)
  const own =
    method?.attemptTimeoutMs ??
    (message.type === 'send' || deadline === undefined ? WORKER_DEFAULTS.sendAttemptTimeoutMs : Infinity)
  return Math.min(now + own, deadline === undefined ? Infinity : lastMoment(deadline))
}
