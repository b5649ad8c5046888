import type { Codec } from './codec.ts'
import { MAX_DEPTH } from './encodable.ts'
import { ERROR_CODES, isErrorCode } from './error-codes.ts'
import {
  DeclaredError,
  errorOf,
  RemoteError,
  type CallFacts,
  type Executed,
  type Issue,
  type ReplytoError,
} from './errors.ts'
import { redact } from './redact.ts'

/**
 * The body of a reply of type `error`, in the caller's encoding:
 * `{ code, message, executed: 'no'|'unknown'|'yes', retryable, attempts, data?, issues? }`. Never a stack.
 */
export interface WireError {
  readonly code: string
  readonly message: string
  readonly executed: Executed
  readonly retryable: boolean
  readonly attempts: number
  /** Of a declared error. */
  readonly data?: unknown
  readonly issues?: readonly Issue[]
}

export function encodeWireError(error: WireError, codec: Codec): Uint8Array {
  return codec.encode(error)
}

/** Any value from the wire; what does not look like an error becomes INVALID_MESSAGE, executed unknown. */
export function parseWireError(value: unknown): WireError {
  if (typeof value !== 'object' || value === null) return unreadable
  const { code, message, executed, retryable, attempts, data, issues } = value as Record<string, unknown> // fields are checked below
  if (typeof code !== 'string' || code === '') return unreadable
  return {
    code: code.slice(0, 64),
    message: typeof message === 'string' ? message.slice(0, 4000) : code,
    executed: executed === 'no' || executed === 'yes' ? executed : 'unknown',
    retryable: typeof retryable === 'boolean' ? retryable : isErrorCode(code) && ERROR_CODES[code].retryable,
    attempts: typeof attempts === 'number' && Number.isSafeInteger(attempts) && attempts > 0 ? attempts : 1,
    ...(data === undefined ? {} : { data }),
    ...(Array.isArray(issues) ? { issues: issues.slice(0, MAX_ISSUES).flatMap(parseIssue) } : {}),
  }
}

/**
 * The error that the caller sees. `declaredData` is the checked data if the code is one that the contract declares;
 * a code that neither the library nor the contract knows becomes HANDLER_FAILED, with the code in its text.
 */
export function errorFromWire(
  wire: WireError,
  facts: CallFacts,
  declared: { readonly data: unknown } | undefined,
): ReplytoError {
  const details = { ...facts, retryable: wire.retryable, ...(wire.issues === undefined ? {} : { issues: wire.issues }) }
  if (declared !== undefined) return new DeclaredError(wire.code, declared.data, wire.message, details)
  if (isErrorCode(wire.code)) return errorOf(wire.code, wire.message, details)
  return new RemoteError(
    'HANDLER_FAILED',
    `${wire.message} (code ${JSON.stringify(wire.code)}, which the contract does not declare)`,
    details,
  )
}

const MAX_ISSUES = 50

/** Schemas' issues as plain data: paths become strings and numbers. */
export function plainIssues(issues: readonly Issue[]): Issue[] {
  return issues.slice(0, MAX_ISSUES).map((issue) => ({
    message: redact(issue.message),
    ...(issue.path === undefined ? {} : { path: issue.path.map(plainKey) }),
  }))
}

/** `width: expected number; path: required`, for messages. */
export function describeIssues(issues: readonly Issue[]): string {
  const shown = issues.slice(0, 5).map((issue) => {
    const path = issue.path?.map((key) => String(plainKey(key))).join('.') ?? ''
    return path === '' ? issue.message : `${path}: ${issue.message}`
  })
  return shown.join('; ') + (issues.length > 5 ? `; and ${issues.length - 5} more` : '')
}

const unreadable: WireError = {
  code: 'INVALID_MESSAGE',
  message: 'the error in the reply could not be read',
  executed: 'unknown',
  retryable: false,
  attempts: 1,
}

function plainKey(key: PropertyKey | { readonly key: PropertyKey }): string | number {
  const plain = typeof key === 'object' ? key.key : key
  return typeof plain === 'symbol' ? String(plain) : plain
}

function parseIssue(value: unknown): Issue[] {
  if (typeof value !== 'object' || value === null || !('message' in value) || typeof value.message !== 'string')
    return []
  const path =
    'path' in value && Array.isArray(value.path)
      ? value.path.slice(0, MAX_DEPTH).filter((key) => typeof key === 'string' || typeof key === 'number')
      : undefined
  return [{ message: value.message.slice(0, 1000), ...(path === undefined ? {} : { path }) }]
}
