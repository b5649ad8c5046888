import type { Executed, Issue } from '../protocol/errors.ts'
import type { Message } from '../protocol/message.ts'

/** What an error reply says; never a stack, never the handler's own text. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly issues?: readonly Issue[] | undefined
  /** Of a declared error. */
  readonly data?: unknown
  /** Only false: the handler said so. @default the code's row */
  readonly retryable?: false | undefined
}

/** How a delivery's turn in this worker ended. */
export type Outcome =
  /** The output, encoded. */
  | { readonly kind: 'returned'; readonly body: Uint8Array }
  /** What `ctx.fail` made was thrown. */
  | { readonly kind: 'declared'; readonly failure: Failure }
  /** INVALID_INPUT, PAYLOAD_TOO_LARGE, UNKNOWN_METHOD or OVERLOADED: the handler was not entered. */
  | { readonly kind: 'refused'; readonly failure: Failure }
  /** INVALID_MESSAGE. */
  | { readonly kind: 'unreadable'; readonly failure: Failure }
  /** `isEntered`: false if a middleware threw first. `isFinal`: a NonRetryableError. `detail`: one line for the dead letter. */
  | {
      readonly kind: 'threw'
      readonly failure: Failure
      readonly isEntered: boolean
      readonly isFinal: boolean
      readonly retryAfterMs: number | undefined
      readonly detail: string
    }
  /** Its time was over and it did not end. */
  | { readonly kind: 'timedOut'; readonly failure: Failure }
  /** INVALID_OUTPUT or PAYLOAD_TOO_LARGE: the handler ended. */
  | { readonly kind: 'badOutput'; readonly failure: Failure }
  /** The message came back too often. */
  | { readonly kind: 'crashed'; readonly failure: Failure }
  | { readonly kind: 'expired'; readonly failure: Failure }
  /** `handler`: whether one had been entered here when the call ended. */
  | { readonly kind: 'cancelled'; readonly failure: Failure; readonly handler: 'not entered' | 'runs on' | 'ended' }
  /** The broker took the delivery back. */
  | { readonly kind: 'lost' }
  /** Not begun, as the worker drains or has no slot that will be free; or interrupted by the end of the drain. */
  | { readonly kind: 'givenBack' }

export interface SettlementFacts {
  readonly type: Message['type']
  /** The attempt that ended, counted from 1. */
  readonly attempt: number
  /** How many are made in all. */
  readonly attempts: number
  /** The contract says `retry.attempts` > 1. */
  readonly asksForRetry: boolean
  /** The wait before the next attempt. */
  readonly retryDelayMs: number
  /** Until the deadline; undefined: there is none. */
  readonly remainingMs: number | undefined
  /** The delivery is proved to be the first of the only copy, and nothing ran it. */
  readonly isProvenFirst: boolean
}

export type Settlement =
  /** Somebody else has it. */
  | { readonly act: 'nothing' }
  /** Given back untouched. */
  | { readonly act: 'release' }
  /** Stored or held until it is due. */
  | { readonly act: 'retry'; readonly delayMs: number }
  /** A call is answered with its result; then acked. */
  | { readonly act: 'complete' }
  /** `keep`: stored as a dead letter. A call is answered with the error; then acked. */
  | { readonly act: 'fail'; readonly executed: Executed; readonly keep: boolean; readonly failure: Failure }

/**
 * What to do with a delivery. Pure; the whole table:
 *
 * | outcome | settlement | executed | kept of a send | kept of a call |
 * | --- | --- | --- | --- | --- |
 * | returned | complete | – | – | – |
 * | declared | fail | yes | yes | no |
 * | refused | fail | no if proved, else unknown | yes | no |
 * | threw, NonRetryableError | fail | yes if entered, else as refused | yes | no |
 * | threw or timedOut, attempts left, due before the deadline | retry | – | – | – |
 * | threw or timedOut, else | fail | threw: as above; timedOut: unknown | yes | if the contract asked for retries and they are used up |
 * | badOutput | fail | yes | yes | no |
 * | unreadable | fail | no if proved, else unknown | yes | yes |
 * | crashed | fail | unknown | yes | yes |
 * | expired | fail | no if proved, else unknown | no | no |
 * | cancelled | fail | ended: yes; runs on: unknown; not entered: as refused | no | no |
 * | lost | nothing | – | – | – |
 * | givenBack | release | – | – | – |
 */
export function decideSettlement(outcome: Outcome, facts: SettlementFacts): Settlement {
  const unlessProven: Executed = facts.isProvenFirst ? 'no' : 'unknown'
  const isSend = facts.type === 'send'
  switch (outcome.kind) {
    case 'returned':
      return { act: 'complete' }
    case 'declared':
    case 'badOutput':
      return fail(outcome.failure, 'yes', isSend)
    case 'refused':
      return fail(outcome.failure, unlessProven, isSend)
    case 'threw':
      return decideRetry(outcome.failure, facts, {
        executed: outcome.isEntered ? 'yes' : unlessProven,
        isFinal: outcome.isFinal,
      })
    case 'timedOut':
      return decideRetry(outcome.failure, facts, { executed: 'unknown', isFinal: false })
    case 'unreadable':
      return fail(outcome.failure, unlessProven, true)
    case 'crashed':
      return fail(outcome.failure, 'unknown', true)
    case 'expired':
      return fail(outcome.failure, unlessProven, false)
    case 'cancelled':
      return fail(outcome.failure, EXECUTED_WHEN_CANCELLED[outcome.handler] ?? unlessProven, false)
    case 'lost':
      return { act: 'nothing' }
    case 'givenBack':
      return { act: 'release' }
  }
}

const EXECUTED_WHEN_CANCELLED = { ended: 'yes', 'runs on': 'unknown', 'not entered': undefined } as const

function decideRetry(
  failure: Failure,
  facts: SettlementFacts,
  { executed, isFinal }: { readonly executed: Executed; readonly isFinal: boolean },
): Settlement {
  const isUsedUp = facts.attempt >= facts.attempts
  const isDueInTime = facts.remainingMs === undefined || facts.retryDelayMs < facts.remainingMs
  if (!isFinal && !isUsedUp && isDueInTime) return { act: 'retry', delayMs: facts.retryDelayMs }
  return fail(failure, executed, facts.type === 'send' || (!isFinal && isUsedUp && facts.asksForRetry))
}

function fail(failure: Failure, executed: Executed, keep: boolean): Settlement {
  return { act: 'fail', executed, keep, failure }
}
