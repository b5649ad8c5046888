import { checkValue, type Checked } from '../contract/check-value.ts'
import type { Schema } from '../contract/types.ts'
import { callScope, MAX_CALL_DEPTH } from '../protocol/call-scope.ts'
import { codecFor, type Codec } from '../protocol/codec.ts'
import { HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import { runMiddleware, type MiddlewareCall } from '../protocol/middleware.ts'
import { describeIssues, plainIssues } from '../protocol/wire-errors.ts'
import { depthOf, type Attempt } from './attempt.ts'
import { NonRetryableError, RetryAfter } from './errors.ts'
import {
  describeThrown,
  invalidInput,
  invalidOutput,
  nameOf,
  notCallable,
  outputTooLarge,
  stackOf,
  threw,
  tooDeep,
  unknownMethod,
  unreadable,
} from './failures.ts'
import { RunContext, userHeaders } from './handler-context.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCall } from './held-calls.ts'
import type { Outcome } from './settlement.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** Decode → method → parse → middleware → handler → check → encode. Never rejects; the worker decides what follows. */
export async function runAttempt(call: HeldCall, attempt: Attempt, parts: WorkerParts): Promise<Outcome> {
  try {
    const read = readMessage(call)
    if ('outcome' in read) return read.outcome
    const { method, codec } = read
    const parsed = await parseInput(call, read.input, { method, parts })
    if ('outcome' in parsed) return parsed.outcome
    const ended = await callScope.run(attempt, () => runHandler(call, attempt, { method, parts, input: parsed.input }))
    if ('thrown' in ended) return await judgeThrown(call, attempt, { thrown: ended.thrown, method, codec, parts })
    warnOfUnthrown(call, attempt, parts)
    return await encodeOutput(call, ended.output, { method, codec, parts })
  } catch (error) {
    parts.core.log('error', 'WORKER_BUG', `running ${nameOf(call)} failed inside the worker: ${stackOf(error)}`)
    return threw(call, error, { isEntered: attempt.isEntered, isFinal: false })
  }
}

type Refused = { readonly outcome: Outcome }

interface Readable {
  readonly method: ServedMethod
  readonly codec: Codec
  readonly input: unknown
}

function readMessage(call: HeldCall): Readable | Refused {
  const { message, method } = call
  const version = message.headers[HEADER.version]
  if (version !== undefined && version !== WIRE_VERSION)
    return { outcome: unreadable(call, `its wire version is ${quote(version)}, known is ${WIRE_VERSION}`) }
  if (message.type !== 'call' && message.type !== 'send')
    return { outcome: unreadable(call, `its type is ${quote(message.type)}, known are call and send`) }
  if (message.contentEncoding !== undefined && message.contentEncoding !== '')
    return { outcome: unreadable(call, `its content encoding ${quote(message.contentEncoding)} is not known`) }
  const codec = codecFor(wireText(message.contentType))
  if (codec === undefined)
    return { outcome: unreadable(call, `its content type ${quote(message.contentType)} is not known`) }
  if (method === undefined) return { outcome: unknownMethod(call) }
  if (message.type === 'call' && method.facts.kind === 'oneWay') return { outcome: notCallable(call) }
  if (depthOf(call) > MAX_CALL_DEPTH) return { outcome: tooDeep(call, depthOf(call)) }
  try {
    return { method, codec, input: codec.decode(message.body) }
  } catch (error) {
    return { outcome: unreadable(call, describeThrown(error)) }
  }
}

interface StepOptions {
  readonly method: ServedMethod
  readonly parts: WorkerParts
}

async function parseInput(
  call: HeldCall,
  input: unknown,
  { method, parts }: StepOptions,
): Promise<{ readonly input: unknown } | Refused> {
  if (parts.options.validate === 'off') return { input }
  const checked = await check(method.facts.input, input)
  return checked.issues === undefined ? { input: checked.value } : { outcome: invalidInput(call, checked.issues) }
}

type Ended = { readonly output: unknown } | { readonly thrown: unknown }

async function runHandler(
  call: HeldCall,
  attempt: Attempt,
  { method, parts, input }: StepOptions & { readonly input: unknown },
): Promise<Ended> {
  try {
    const { middleware } = parts.options
    if (middleware.length === 0) return { output: await enter(input, NO_STATE) }
    const layered = middlewareCall(call, attempt, { method, parts, input })
    return { output: await runMiddleware(middleware, layered, () => enter(layered.input, layered.state)) }
  } catch (thrown) {
    return { thrown }
  }

  /** A call that ended meanwhile (an input schema or a middleware took too long) is not begun any more. */
  async function enter(parsed: unknown, state: ReadonlyMap<unknown, unknown>): Promise<unknown> {
    if (attempt.abortReason !== undefined) throw attempt.abortReason
    attempt.isEntered = true
    call.mayHaveRun = true
    return method.run(parsed, new RunContext({ call, attempt, state, parts }))
  }
}

const NO_STATE: ReadonlyMap<unknown, unknown> = new Map()

function middlewareCall(
  call: HeldCall,
  attempt: Attempt,
  { method, parts, input }: StepOptions & { readonly input: unknown },
): MiddlewareCall {
  return {
    side: 'worker',
    kind: call.message.type === 'send' ? 'send' : 'call',
    service: call.queue.ref.service,
    method: method.name,
    group: parts.options.group,
    id: call.message.id,
    attempt: attempt.number,
    deadline: call.deadline?.at,
    input,
    headers: new Map(userHeaders(call)),
    state: new Map(),
  }
}

interface ThrownOptions extends StepOptions {
  readonly thrown: unknown
  readonly codec: Codec
}

async function judgeThrown(call: HeldCall, attempt: Attempt, options: ThrownOptions): Promise<Outcome> {
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
    const checked = await check(errors[made.code], made.data)
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

function warnOfUnthrown(call: HeldCall, { failures }: Attempt, { core }: WorkerParts): void {
  const [made] = failures ?? []
  if (made === undefined) return
  core.log(
    'warn',
    'FAIL_NOT_THROWN',
    `the handler of ${nameOf(call)} made ctx.fail(${quote(made.code)}) and returned: write throw ctx.fail(…)`,
    nameOf(call),
  )
}

/** Nobody reads the output of a send. */
async function encodeOutput(
  call: HeldCall,
  output: unknown,
  { method, codec, parts }: StepOptions & { readonly codec: Codec },
): Promise<Outcome> {
  if (call.message.type === 'send') return { kind: 'returned', body: EMPTY }
  if (parts.options.validate === 'both') {
    const checked = await check(method.facts.output, output)
    if (checked.issues !== undefined) return misfit(call, checked.issues, parts)
  }
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

function check(schema: Schema | undefined, value: unknown): Checked | Promise<Checked> {
  return checkValue(schema, value)
}

function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 80))
}
