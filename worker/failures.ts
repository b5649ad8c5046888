import { describeExpiry, type WireDeadline } from '../protocol/deadline.ts'
import { messageOf, type Issue } from '../protocol/errors.ts'
import { HEADER } from '../protocol/headers.ts'
import { describeIssues, plainIssues } from '../protocol/wire-errors.ts'
import type { HeldCall } from './held-calls.ts'
import type { Failure, Outcome } from './settlement.ts'
import { wireText } from './wire-text.ts'

// The texts of what a worker answers. A handler's own error text stays here: it may name files, hosts or secrets.

/** `images.resize`; what a stranger's message names is shortened. */
export function nameOf(call: HeldCall): string {
  return `${call.queue.ref.service}.${wireText(call.message.headers[HEADER.method], 80) || '?'}`
}

export function unreadable(call: HeldCall, problem: string): Outcome {
  return {
    kind: 'unreadable',
    failure: { code: 'INVALID_MESSAGE', message: `the message cannot be read: ${problem} (${nameOf(call)})` },
  }
}

export function unknownMethod(call: HeldCall): Outcome {
  const known = [...call.queue.methods.keys()].slice(0, 20).join(', ')
  return refused('UNKNOWN_METHOD', `the worker knows no method ${nameOf(call)}; it knows ${known}`)
}

/** A oneWay method is, as a call, unknown: there is no answer that its contract describes. */
export function notCallable(call: HeldCall): Outcome {
  const takes = {
    oneWay: 'is oneWay: it takes sends',
    stream: 'yields: it takes streams',
    call: 'takes calls and sends',
  }
  const kind = call.method?.facts.kind ?? 'call'
  return refused('UNKNOWN_METHOD', `${nameOf(call)} ${takes[kind]}, and this is a ${call.message.type}`)
}

export function tooDeep(call: HeldCall, depth: number): Outcome {
  return refused(
    'OVERLOADED',
    `${nameOf(call)} was called inside ${depth} others, which looks like an endless recursion`,
  )
}

export function inputTooLarge(call: HeldCall, maxBytes: number): Outcome {
  const { length } = call.message.body
  return refused(
    'PAYLOAD_TOO_LARGE',
    `the input of ${nameOf(call)} has ${length} bytes; maxPayloadBytes is ${maxBytes}`,
  )
}

export function invalidInput(call: HeldCall, issues: readonly Issue[]): Outcome {
  const plain = plainIssues(issues)
  return refused(
    'INVALID_INPUT',
    `the input of ${nameOf(call)} does not fit the contract: ${describeIssues(plain)}`,
    plain,
  )
}

export function invalidOutput(call: HeldCall, problem: string, issues?: readonly Issue[]): Outcome {
  const message = `what the handler of ${nameOf(call)} returned ${problem}`
  return { kind: 'badOutput', failure: { code: 'INVALID_OUTPUT', message, ...(issues && { issues }) } }
}

export function outputTooLarge(call: HeldCall, sizeBytes: number, maxBytes: number): Outcome {
  const message = `${nameOf(call)} answered with ${sizeBytes} bytes; maxPayloadBytes is ${maxBytes}`
  return { kind: 'badOutput', failure: { code: 'PAYLOAD_TOO_LARGE', message } }
}

/** The caller learns where to look, not what was thrown. */
export function threw(
  call: HeldCall,
  thrown: unknown,
  how: { readonly isEntered: boolean; readonly isFinal: boolean; readonly retryAfterMs?: number | undefined },
): Outcome {
  const who = how.isEntered ? 'the handler' : 'a middleware of the worker'
  const message = `${who} of ${nameOf(call)} threw; its own error is in the log of the worker`
  return {
    kind: 'threw',
    failure: { code: 'HANDLER_FAILED', message, ...(how.isFinal && { retryable: false }) },
    isEntered: how.isEntered,
    isFinal: how.isFinal,
    retryAfterMs: how.retryAfterMs,
    detail: describeThrown(thrown),
  }
}

export function timedOut(call: HeldCall, ranMs: number): Outcome {
  const message = `the handler of ${nameOf(call)} did not end in its time: it was given ${Math.round(ranMs)} ms and its signal was aborted`
  return { kind: 'timedOut', failure: { code: 'ATTEMPT_TIMEOUT', message } }
}

export function crashed(call: HeldCall, times: number): Outcome {
  const how = call.isSolo ? 'while it ran alone' : 'and was given back'
  const message = `${nameOf(call)} came back from its workers ${times} times ${how}: it seems to end them`
  return { kind: 'crashed', failure: { code: 'CRASHED', message } }
}

export function expired(call: HeldCall, deadline: WireDeadline, now: number): Outcome {
  return {
    kind: 'expired',
    failure: { code: 'EXPIRED', message: `${nameOf(call)} was not run: ${describeExpiry(deadline, now)}` },
  }
}

export function cancelled(call: HeldCall, handler: 'not entered' | 'runs on' | 'ended'): Outcome {
  const why = call.stream?.abandoned
  const failure: Failure =
    why === undefined
      ? { code: 'CANCELLED', message: `the caller cancelled ${nameOf(call)}` }
      : { code: 'TIMEOUT', message: `nobody read ${nameOf(call)}: ${why}` }
  return { kind: 'cancelled', failure, handler }
}

/** For dead letters and histories: on one line, whatever was thrown. */
export function describeThrown(thrown: unknown): string {
  return safely(() => messageOf(thrown))
}

/** For the worker's own log, with the stack. */
export function stackOf(thrown: unknown): string {
  return safely(() => (thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : messageOf(thrown)))
}

/** Getters of what was thrown may throw too. */
function safely(describe: () => string): string {
  try {
    return describe()
  } catch {
    return 'threw something that cannot be described' // nothing more can be learned from it
  }
}

function refused(code: Failure['code'], message: string, issues?: readonly Issue[]): Outcome {
  return { kind: 'refused', failure: { code, message, ...(issues && { issues }) } }
}
