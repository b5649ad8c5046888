import { ERROR_CODES, type CodeOf, type ErrorClass, type ErrorCode } from './error-codes.ts'
import { redact } from './redact.ts'

/**
 * Whether the call's work was done. 'no': no copy of the call entered a handler and none will. 'yes': a handler was entered
 * and finished. 'unknown': everything else, every time-out after publishing included.
 */
export type Executed = 'no' | 'unknown' | 'yes'

/** The last stage that the caller has evidence of: made, confirmed by the broker, answered by a worker. */
export type Stage = 'outbox' | 'queued' | 'running'

/** What an error knows of its call. Times in milliseconds. */
export interface CallFacts {
  readonly executed: Executed
  readonly stage: Stage
  readonly service: string
  readonly method: string
  readonly queue: string
  readonly callId: string
  readonly attempts: number
  readonly elapsedMs: number
}

/** One problem that a schema found; the shape of Standard Schema's issues. */
export interface Issue {
  readonly message: string
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
}

export interface ErrorDetails extends Partial<CallFacts> {
  /** What the worker said; @default the code's row */
  readonly retryable?: boolean | undefined
  readonly issues?: readonly Issue[] | undefined
  readonly cause?: unknown
}

/**
 * What every error of the library is: a code of the closed table, whether the work ran, and which call it was.
 * Subclasses by who acts: CallError (this call; the connection is fine), RemoteError (a worker answered),
 * BrokerError (connection or topology), ConfigError (your code). The message begins with `[CODE]`.
 */
export abstract class ReplytoError extends Error implements CallFacts {
  /** A string, not the class: two copies of the package agree on `instanceof`. */
  readonly '~replyto': ErrorClass
  abstract readonly code: string
  readonly executed: Executed
  readonly stage: Stage
  readonly retryable: boolean
  readonly service: string
  readonly method: string
  readonly queue: string
  readonly callId: string
  readonly attempts: number
  readonly elapsedMs: number
  declare readonly issues?: readonly Issue[] | undefined

  constructor(brand: ErrorClass, code: string, text: string, retryable: boolean, details: ErrorDetails) {
    super(
      `[${code}] ${redact(text)}${describeCall(details)}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    )
    this['~replyto'] = brand
    this.executed = details.executed ?? 'no'
    this.stage = details.stage ?? 'outbox'
    this.retryable = details.retryable ?? retryable
    this.service = details.service ?? ''
    this.method = details.method ?? ''
    this.queue = details.queue ?? ''
    this.callId = details.callId ?? ''
    this.attempts = details.attempts ?? 0
    this.elapsedMs = details.elapsedMs ?? 0
    if (details.issues !== undefined) this.issues = details.issues
    hideEmpty(this, details)
  }

  /** Which class was asked for; the class's own name does not survive minifiers. */
  static readonly '~class': string = 'ReplytoError'

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (!Object.hasOwn(this, '~class')) return Function.prototype[Symbol.hasInstance].call(this, value) // a user's subclass
    const brand = brandOf(value)
    if (brand === undefined) return false
    return this['~class'] === 'ReplytoError' || this['~class'] === brand || isDeclared(this['~class'], value)
  }
}

/** This call failed; the connection is fine. */
export class CallError extends ReplytoError {
  static override readonly '~class': string = 'CallError'
  override readonly name = 'CallError'
  readonly code: CodeOf<'CallError'>
  constructor(code: CodeOf<'CallError'>, text: string, details: ErrorDetails = {}) {
    super('CallError', code, text, ERROR_CODES[code].retryable, details)
    this.code = code
  }
}

/** A worker answered with a failure. */
export class RemoteError extends ReplytoError {
  static override readonly '~class': string = 'RemoteError'
  override readonly name = 'RemoteError'
  readonly code: CodeOf<'RemoteError'>
  constructor(code: CodeOf<'RemoteError'>, text: string, details: ErrorDetails = {}) {
    super('RemoteError', code, text, ERROR_CODES[code].retryable, details)
    this.code = code
  }
}

/** The connection or the topology failed. */
export class BrokerError extends ReplytoError {
  static override readonly '~class': string = 'BrokerError'
  override readonly name = 'BrokerError'
  readonly code: CodeOf<'BrokerError'>
  constructor(code: CodeOf<'BrokerError'>, text: string, details: ErrorDetails = {}) {
    super('BrokerError', code, text, ERROR_CODES[code].retryable, details)
    this.code = code
  }
}

/** Your code or options are wrong; thrown synchronously where it can be. */
export class ConfigError extends ReplytoError {
  static override readonly '~class': string = 'ConfigError'
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG'
  constructor(text: string, details: ErrorDetails = {}) {
    super('ConfigError', 'CONFIG', text, false, details)
  }
}

/** An error that the contract declares, made by `ctx.fail` and rebuilt at the caller with its typed data. */
export class DeclaredError<Code extends string = string, Data = unknown> extends ReplytoError {
  static override readonly '~class': string = 'DeclaredError'
  override readonly name = 'DeclaredError'
  readonly code: Code
  readonly data: Data
  constructor(code: Code, data: Data, text: string, details: ErrorDetails = {}) {
    super('RemoteError', code, text, false, details)
    this.code = code
    this.data = data
  }
}

/** Makes the error of the right class for a code of the table. */
export function errorOf(code: ErrorCode, text: string, details: ErrorDetails): ReplytoError {
  const { by } = ERROR_CODES[code]
  switch (by) {
    case 'CallError':
      return new CallError(code as CodeOf<'CallError'>, text, details) // the row says so
    case 'RemoteError':
      return new RemoteError(code as CodeOf<'RemoteError'>, text, details) // the row says so
    case 'BrokerError':
      return new BrokerError(code as CodeOf<'BrokerError'>, text, details) // the row says so
    case 'ConfigError':
      return new ConfigError(text, details)
  }
}

/** The message of whatever was thrown, on one line, bounded and without secrets, for logs and dead letters. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : `threw ${safeString(thrown)}`
  return redact(text).replaceAll(/\s+/g, ' ').slice(0, 500)
}

function safeString(value: unknown): string {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return String(value)
  return `a ${typeof value}, not an Error`
}

function describeCall(details: ErrorDetails): string {
  if (details.method === undefined || details.method === '') return ''
  const parts = [`${details.service ?? '?'}.${details.method}`]
  if (details.queue) parts.push(`queue ${details.queue}`)
  if (details.callId) parts.push(`call ${details.callId}`)
  if (details.attempts !== undefined && details.attempts > 0) parts.push(`attempts ${details.attempts}`)
  if (details.elapsedMs !== undefined) parts.push(`after ${Math.round(details.elapsedMs)} ms`)
  if (details.executed) parts.push(`executed: ${details.executed}`)
  return ` (${parts.join(', ')})`
}

function brandOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('~replyto' in value)) return undefined
  return typeof value['~replyto'] === 'string' ? value['~replyto'] : undefined
}

function isDeclared(asked: string, value: unknown): boolean {
  return asked === 'DeclaredError' && value instanceof Error && value.name === 'DeclaredError'
}

const FACTS = ['executed', 'stage', 'service', 'method', 'queue', 'callId', 'attempts', 'elapsedMs'] as const

/** Keeps the brand and what is not known out of console output; they stay readable. */
function hideEmpty(error: ReplytoError, details: ErrorDetails): void {
  Object.defineProperty(error, '~replyto', { enumerable: false })
  for (const fact of FACTS) {
    if (details[fact] === undefined) Object.defineProperty(error, fact, { enumerable: false })
  }
}
