import type { Clock } from '../protocol/clock.ts'
import { CallError, type CallFacts, type ErrorDetails, type Executed, type Stage } from '../protocol/errors.ts'
import type { Mailbox } from '../broker-adapters/adapter.ts'
import type { Encoding } from '../protocol/codec.ts'
import type { QueueRef, Reply } from '../protocol/message.ts'
import type { ScheduledTimer } from '../protocol/timer-wheel.ts'
import type { OutboxEntry } from './outbox-lane.ts'

/** How a call ended. */
export type Settled =
  { readonly status: 'ok'; readonly value: unknown } | { readonly status: 'error'; readonly error: unknown }

/** Where a call goes; made once per stub and method. */
export interface CallTarget {
  readonly service: string
  readonly method: string
  readonly queue: QueueRef
  /** The queue's full name. */
  readonly queueName: string
}

/** Of a call or send whose outcome is kept, or of a call made elsewhere to which this client is attached. */
export interface Kept {
  /** Undefined: attached. */
  readonly keepMs: number | undefined
  /** The lifetime of its mailbox while no outcome has come. Undefined: attached, so none is made. */
  readonly createForMs: number | undefined
  readonly encoding: Encoding
  /** Set once it is open; kept by mailboxes.ts. */
  mailbox: Mailbox | undefined
}

/** One call or send from the moment it is made until it is settled. What is known of it is kept here and nowhere else. */
export interface CallState {
  readonly id: string
  readonly kind: 'call' | 'send' | 'stream'
  readonly target: CallTarget
  /** Its broker's. */
  readonly clock: Clock
  /** Of the clock's `monotonic`. */
  readonly startedAt: number
  readonly endsAt: number
  /** Epoch ms. A send's is only that of its own waiting. */
  readonly deadline: number
  /** Epoch ms, for the wire, after which nobody begins it: a call's deadline, and what a send was given. */
  readonly expiresAt: number | undefined
  readonly failFast: boolean
  /** The call was made inside a handler that serves the same queue and had no free slot beside it. */
  readonly waitsForItself: boolean
  readonly kept: Kept | undefined
  stage: Stage
  /** Told by workers. */
  attempts: number
  /** What a final answer said of `executed`, even if another end was faster. */
  evidence: Executed | undefined
  /** Publishes, also by others under the same id, that may have stored a copy; 0 proves that nobody can run it. */
  copies: number
  /** Set once: it is settled. */
  end: Settled | undefined
  /** Set by `cancel`: whatever answer comes now, the call ends as CANCELLED. */
  cancelled: { readonly reason: string; readonly cause: unknown } | undefined
  /** Ends it, once; later ends are ignored. */
  settle(end: Settled): void
  /** What the worker answered, on its way through the client's middleware. */
  answer(end: Settled): void
  /** A middleware waits for the answer; set while it does. */
  onAnswer: ((end: Settled) => void) | undefined
  /** Of its deadline; kept by pending-calls.ts. */
  timer: ScheduledTimer | undefined
  /** What the outbox holds of it; kept by outbox.ts. */
  entry: OutboxEntry | undefined
  /** Something came to the client's inbox for this call; set when it is published. */
  onReply: ((reply: Reply) => void) | undefined
  /** The stage changed; set by whoever shows it. */
  onStage: (() => void) | undefined
}

export interface CallStateOptions extends Pick<
  CallState,
  | 'id'
  | 'kind'
  | 'target'
  | 'clock'
  | 'endsAt'
  | 'deadline'
  | 'expiresAt'
  | 'failFast'
  | 'waitsForItself'
  | 'kept'
  | 'copies'
> {
  readonly onSettled: (state: CallState, end: Settled) => void
}

export function createCallState(options: CallStateOptions): CallState {
  return new StateOfCall(options)
}

/** A class, because there is one for every call: two closures less each. */
class StateOfCall implements CallState {
  readonly id: string
  readonly kind: 'call' | 'send' | 'stream'
  readonly target: CallTarget
  readonly startedAt: number
  readonly clock: Clock
  readonly endsAt: number
  readonly deadline: number
  readonly expiresAt: number | undefined
  readonly failFast: boolean
  readonly waitsForItself: boolean
  readonly kept: Kept | undefined
  stage: Stage = 'outbox'
  attempts = 0
  evidence: Executed | undefined = undefined
  copies: number
  end: Settled | undefined = undefined
  cancelled: { readonly reason: string; readonly cause: unknown } | undefined = undefined
  timer: ScheduledTimer | undefined = undefined
  entry: OutboxEntry | undefined = undefined
  onReply: ((reply: Reply) => void) | undefined = undefined
  onStage: (() => void) | undefined = undefined
  onAnswer: ((end: Settled) => void) | undefined = undefined
  readonly #onSettled: CallStateOptions['onSettled']

  constructor(options: CallStateOptions) {
    this.id = options.id
    this.kind = options.kind
    this.target = options.target
    this.clock = options.clock
    this.startedAt = options.clock.monotonic()
    this.endsAt = options.endsAt
    this.deadline = options.deadline
    this.expiresAt = options.expiresAt
    this.failFast = options.failFast
    this.waitsForItself = options.waitsForItself
    this.kept = options.kept
    this.copies = options.copies
    this.#onSettled = options.onSettled
  }

  settle(end: Settled): void {
    if (this.end !== undefined) return
    this.end = end
    this.#onSettled(this, end)
  }

  answer(end: Settled): void {
    if (this.onAnswer === undefined) this.settle(end)
    else this.onAnswer(end)
  }
}

/** What is proved of the call now. */
export function executedOf(state: CallState): Executed {
  return state.evidence ?? (state.copies === 0 ? 'no' : 'unknown')
}

/** For the errors of this call, as of now. */
export function factsOf(state: CallState): CallFacts {
  return {
    executed: executedOf(state),
    stage: state.stage,
    service: state.target.service,
    method: state.target.method,
    queue: state.target.queueName,
    callId: state.id,
    attempts: state.attempts,
    elapsedMs: Math.round(state.clock.monotonic() - state.startedAt),
  }
}

/** The end of a call whose caller cancelled it, with what is proved now. */
export function cancelledEnd(state: CallState): Settled {
  const { reason, cause } = state.cancelled ?? { reason: 'no reason given', cause: undefined }
  return failed(new CallError('CANCELLED', `the caller cancelled: ${reason}`, detailsOf(state, { cause })))
}

export function failed(error: unknown): Settled {
  return { status: 'error', error }
}

export function detailsOf(state: CallState, more: ErrorDetails = {}): ErrorDetails {
  return { ...factsOf(state), ...more }
}
