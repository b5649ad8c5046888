import { checkValue, type Checked } from '../contract/check-value.ts'
import type { Codec } from '../protocol/codec.ts'
import { describeIssues, plainIssues } from '../protocol/wire-errors.ts'
import type { Attempt } from './attempt.ts'
import { NonRetryableError, RetryAfter } from './errors.ts'
import { describeThrown, invalidOutput, nameOf, outputTooLarge, stackOf, threw } from './failures.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCall } from './held-calls.ts'
import type { Outcome } from './settlement.ts'
import { quote } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

interface JudgeOptions {
  readonly method: ServedMethod
  /** The caller's. */
  readonly codec: Codec
  readonly parts: WorkerParts
}

interface ThrownOptions extends JudgeOptions {
  readonly thrown: unknown
}

/** What an error of the handler or of a middleware means. */
export async function judgeThrown(call: HeldCall, attempt: Attempt, options: ThrownOptions): Promise<Outcome> {
  const { thrown, parts } = options
  const made = attempt.failures?.find((failure) => failure === thrown)
  if (made !== undefined) return declaredOutcome(call, made, options)
  const how = { isEntered: attempt.isEntered, ...kindOf(thrown) }
  logThrown(call, attempt, { parts, text: stackOf(thrown) })
  return threw(call, thrown, how)
}

/** Only what this attempt's `ctx.fail` made: a nested call's declared error is, to the outer caller, a failed handler. */
async function declaredOutcome(
  call: HeldCall,
  made: { readonly code: string; readonly data: unknown },
  { method, codec, parts }: ThrownOptions,
): Promise<Outcome> {
  const errors = method.facts.errors ?? {}
  const problem = Object.hasOwn(errors, made.code) ? await dataProblem() : 'the contract declares no such error'
  if (problem !== undefined) {
    const text = `ctx.fail(${quote(made.code)}) of ${nameOf(call)} cannot be sent: ${problem}`
    parts.core.log('error', 'HANDLER_FAILED', text, `${call.queue.name} ${method.name}`)
    return threw(call, new Error(text), { isEntered: true, isFinal: true })
  }
  const failure = { code: made.code, message: `${nameOf(call)} failed with ${made.code}`, data: made.data }
  const sizeBytes = codec.encode(failure).length
  return sizeBytes > parts.core.maxPayloadBytes
    ? outputTooLarge(call, sizeBytes, parts.core.maxPayloadBytes)
    : { kind: 'declared', failure }

  async function dataProblem(): Promise<string | undefined> {
    try {
      codec.encode(made.data)
    } catch (error) {
      return describeThrown(error)
    }
    if (parts.options.validate !== 'both') return undefined
    const checked = await checkValue(errors[made.code], made.data)
    return checked.issues === undefined
      ? undefined
      : `its data does not fit: ${describeIssues(plainIssues(checked.issues))}`
  }
}

function kindOf(thrown: unknown): { readonly isFinal: boolean; readonly retryAfterMs: number | undefined } {
  try {
    return {
      isFinal: thrown instanceof NonRetryableError,
      retryAfterMs: thrown instanceof RetryAfter && thrown.ms >= 0 ? thrown.ms : undefined,
    }
  } catch {
    return { isFinal: false, retryAfterMs: undefined } // a hostile Proxy: an error like any other
  }
}

function logThrown(
  call: HeldCall,
  attempt: Attempt,
  { parts, text }: { readonly parts: WorkerParts; readonly text: string },
): void {
  const aborted =
    attempt.abortReason === undefined ? '' : `, after its signal was aborted (${attempt.abortReason.message})`
  parts.core.log(
    'error',
    'HANDLER_FAILED',
    `${nameOf(call)} threw in attempt ${attempt.number}${aborted}, call ${call.message.id}: ${text}`,
    `${call.queue.name} ${call.method?.name ?? ''}`,
  )
}

/** Says it to who forgot the `throw`. */
export function warnOfUnthrown(call: HeldCall, { failures }: Attempt, { core }: WorkerParts): void {
  const [made] = failures ?? []
  if (made === undefined) return
  core.log(
    'warn',
    'FAIL_NOT_THROWN',
    `the handler of ${nameOf(call)} made ctx.fail(${quote(made.code)}) and returned: write throw ctx.fail(…)`,
    nameOf(call),
  )
}

/** Checked and encoded; nobody reads the output of a send that is not kept. */
export function encodeOutput(call: HeldCall, output: unknown, options: JudgeOptions): Outcome | Promise<Outcome> {
  const { method, parts } = options
  if (call.message.type === 'send' && call.replyAddress === undefined) return { kind: 'returned', body: EMPTY }
  if (parts.options.validate !== 'both') return encodeChecked(call, { value: output }, { output, ...options })
  const checked = checkValue(method.facts.output, output)
  return checked instanceof Promise
    ? checked.then((late) => encodeChecked(call, late, { output, ...options }))
    : encodeChecked(call, checked, { output, ...options })
}

/** What the handler returned is sent; what its schema made of it is the caller's to compute. */
function encodeChecked(
  call: HeldCall,
  checked: Checked,
  { output, codec, parts }: JudgeOptions & { readonly output: unknown },
): Outcome {
  if (checked.issues !== undefined) return misfit(call, checked.issues, parts)
  const body = encode()
  if (typeof body === 'string') {
    logOutput(call, parts, body)
    return invalidOutput(call, `cannot be sent: ${body}`)
  }
  if (body.length > parts.core.maxPayloadBytes) return outputTooLarge(call, body.length, parts.core.maxPayloadBytes)
  return { kind: 'returned', body }

  function encode(): Uint8Array | string {
    try {
      return codec.encode(output)
    } catch (error) {
      return describeThrown(error)
    }
  }
}

function misfit(call: HeldCall, found: Parameters<typeof plainIssues>[0], parts: WorkerParts): Outcome {
  const issues = plainIssues(found)
  logOutput(call, parts, describeIssues(issues))
  return invalidOutput(call, `does not fit the contract: ${describeIssues(issues)}`, issues)
}

function logOutput(call: HeldCall, { core }: WorkerParts, problem: string): void {
  core.log(
    'error',
    'INVALID_OUTPUT',
    `${nameOf(call)}, call ${call.message.id}: ${problem}`,
    `${call.queue.name} ${nameOf(call)}`,
  )
}

const EMPTY = new Uint8Array(0)
