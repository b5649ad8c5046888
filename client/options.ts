import { ConfigError } from '../protocol/errors.ts'
import { userHeadersProblem } from '../protocol/headers.ts'
import type { Middleware } from '../protocol/middleware.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import type { CallOptions, ClientOptions, SendOptions, StubOptions, Validate } from './types.ts'

export const CLIENT_DEFAULTS = Object.freeze({
  name: 'client',
  timeoutMs: 30_000,
  failFast: false,
  validate: 'both',
  outboxCalls: 100_000,
  outboxBytes: 64 * 1024 * 1024,
  replyLeaseMs: 600_000,
  inFlight: 256,
  group: 'default',
} as const)

export interface ResolvedClientOptions {
  readonly name: string
  /** Undefined: not given, so a contract's own wins. */
  readonly timeoutMs: number | undefined
  readonly failFast: boolean
  readonly middleware: readonly Middleware[]
  readonly validate: Validate
  readonly outbox: { readonly calls: number; readonly bytes: number }
  readonly replyLeaseMs: number
}

export function resolveClientOptions(options: ClientOptions): ResolvedClientOptions {
  const name = options.name ?? CLIENT_DEFAULTS.name
  const problem = nameProblem(name)
  if (problem !== undefined) throw new ConfigError(`the name of a client ${problem}`)
  const validate = options.validate ?? CLIENT_DEFAULTS.validate
  if (!['both', 'receiver', 'off'].includes(validate))
    throw new ConfigError(`validate must be 'both', 'receiver' or 'off'; got ${validate}`)
  const middleware = options.middleware ?? []
  if (!Array.isArray(middleware) || middleware.some((layer) => typeof layer !== 'function'))
    throw new ConfigError('middleware must be an array of functions (call, next) => Promise')
  return Object.freeze({
    name,
    timeoutMs: optionalInteger('timeoutMs', options.timeoutMs, 1),
    failFast: options.failFast ?? CLIENT_DEFAULTS.failFast,
    middleware: [...middleware],
    validate,
    outbox: {
      calls: optionalInteger('outbox.calls', options.outbox?.calls, 1) ?? CLIENT_DEFAULTS.outboxCalls,
      bytes: optionalInteger('outbox.bytes', options.outbox?.bytes, 1) ?? CLIENT_DEFAULTS.outboxBytes,
    },
    replyLeaseMs: optionalInteger('replyLeaseMs', options.replyLeaseMs, 1000) ?? CLIENT_DEFAULTS.replyLeaseMs,
  })
}

export interface ResolvedStubOptions {
  readonly group: string
  readonly timeoutMs: number | undefined
  readonly failFast: boolean | undefined
  readonly headers: Readonly<Record<string, string>>
}

export function resolveStubOptions(options: StubOptions): ResolvedStubOptions {
  const group = resolveGroup(options.group)
  const headers = options.headers ?? {}
  const problem = userHeadersProblem(Object.entries(headers))
  if (problem !== undefined) throw new ConfigError(`the stub ${problem}`)
  return { group, timeoutMs: optionalInteger('timeoutMs', options.timeoutMs, 1), failFast: options.failFast, headers }
}

export function resolveGroup(group: string | undefined): string {
  if (group === undefined) return CLIENT_DEFAULTS.group
  const problem = nameProblem(group)
  if (problem !== undefined) throw new ConfigError(`the name of a group ${problem}`)
  return group
}

const CALL_OPTIONS = new Set(['timeoutMs', 'headers', 'signal', 'failFast', 'delayMs', 'ordered', 'inFlight'])

/** Options of a single call or send; what they ask wrongly rejects that call. */
export function checkCallOptions(options: CallOptions & SendOptions): void {
  for (const name of Object.keys(options)) {
    if (!CALL_OPTIONS.has(name))
      throw new ConfigError(
        `there is no option ${JSON.stringify(name)} of a call; known are ${[...CALL_OPTIONS].join(', ')}`,
      )
  }
  optionalInteger('timeoutMs', options.timeoutMs, 1)
  optionalInteger('delayMs', options.delayMs, 0, MAX_DELAY_MS)
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw new ConfigError('signal must be an AbortSignal')
  const problem = options.headers === undefined ? undefined : userHeadersProblem(Object.entries(options.headers))
  if (problem !== undefined) throw new ConfigError(`the call ${problem}`)
}

export function resolveInFlight(inFlight: number | undefined): number {
  return optionalInteger('inFlight', inFlight, 1) ?? CLIENT_DEFAULTS.inFlight
}

/** Ten years. */
const MAX_DELAY_MS = 315_360_000_000
const MAX_MS = 2_147_483_647

function optionalInteger(name: string, value: unknown, min: number, max: number = MAX_MS): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to ${max}; got ${String(value)}`)
}
