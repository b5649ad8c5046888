import { CONNECT_OPTIONS } from '../broker-adapters/connect-options.ts'
import type { Service } from '../contract/types.ts'
import { ConfigError } from '../protocol/errors.ts'
import type { Middleware } from '../protocol/middleware.ts'
import { assertOptionNames } from '../protocol/option-names.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import { describeValue } from '../protocol/redact.ts'
import { checkedReplyAddresses } from './reply-addresses.ts'
import type { CreateWorkerOptions, ServeOptions } from './types.ts'

export const WORKER_DEFAULTS = Object.freeze({
  name: 'worker',
  group: 'default',
  concurrency: 10,
  prefetchPerSlot: 2,
  validate: 'both',
  graceMs: 20_000,
  /** Of a send that names none; a call's is the rest of its deadline. */
  sendAttemptTimeoutMs: 900_000,
} as const)

/** What nobody has to set, and tests shorten. */
export const WORKER_TUNING = Object.freeze({
  /** A consumer with free credit that got nothing for so long is looked at. */
  silentMs: 10_000,
  /** At most once in so long a silent consumer is replaced. */
  rebuildMs: 30_000,
  /** How long a worker holds what it is too old for, the first time; it doubles each time, up to the tenfold. */
  newerHoldMs: 500,
  /** How long, counted in holds, a send waits for a worker that is new enough for it. */
  newerWorkerMs: 600_000,
  /** Replies that the broker has not stored yet; beyond it no call begins. */
  maxReplies: 10_000,
  maxReplyBytes: 64 * 1024 * 1024,
})

export type WorkerTuning = { readonly [Name in keyof typeof WORKER_TUNING]: number }

const MAX_CONCURRENCY = 100_000
const MAX_MS = 2_147_483_647

export interface ResolvedWorkerOptions {
  readonly name: string
  readonly group: string
  readonly concurrency: number
  readonly prefetch: number
  readonly middleware: readonly Middleware[]
  readonly validate: 'both' | 'receiver' | 'off'
  readonly replyAddresses: readonly string[]
}

const WORKER_OPTIONS = [
  ...(['name', 'group', 'concurrency', 'prefetch', 'middleware', 'validate', 'replyAddresses'] as const),
  ...CONNECT_OPTIONS,
] as const satisfies readonly (keyof CreateWorkerOptions)[]
const SERVE_OPTIONS = ['concurrency', 'attemptTimeoutMs'] as const satisfies readonly (keyof ServeOptions)[]

/**
 * Those of `connect` are in the same object, and checked there.
 *
 * @throws ConfigError that names the field, its value and its range.
 */
export function resolveWorkerOptions(options: CreateWorkerOptions): ResolvedWorkerOptions {
  assertOptionNames('a worker', options, WORKER_OPTIONS)
  const concurrency = wholeNumber('concurrency', options.concurrency, 1, MAX_CONCURRENCY) ?? WORKER_DEFAULTS.concurrency
  const prefetch =
    wholeNumber('prefetch', options.prefetch, 1, 2 * MAX_CONCURRENCY) ?? concurrency * WORKER_DEFAULTS.prefetchPerSlot
  const validate = options.validate ?? WORKER_DEFAULTS.validate
  if (!['both', 'receiver', 'off'].includes(validate))
    throw new ConfigError(`validate must be 'both', 'receiver' or 'off'; got ${describeValue(validate)}`)
  const middleware = options.middleware ?? []
  if (!Array.isArray(middleware) || middleware.some((layer) => typeof layer !== 'function'))
    throw new ConfigError('middleware must be an array of functions (call, next) => Promise')
  return Object.freeze({
    name: named('the name of a worker', options.name ?? WORKER_DEFAULTS.name),
    group: named('the name of a group', options.group ?? WORKER_DEFAULTS.group),
    concurrency,
    prefetch,
    middleware: [...middleware],
    validate,
    replyAddresses: checkedReplyAddresses(options.replyAddresses),
  })
}

export interface ResolvedServeOptions {
  /** By method; a method that is not in it has only the worker's limit. */
  readonly concurrency: ReadonlyMap<string, number>
  readonly attemptTimeoutMs: number | undefined
}

/** @throws ConfigError for a limit of a method that does not exist, or a number out of range. */
export function resolveServeOptions(service: Service, options: ServeOptions): ResolvedServeOptions {
  assertOptionNames(`serve('${service.name}', …)`, options, SERVE_OPTIONS)
  const concurrency = new Map<string, number>()
  for (const [method, value] of Object.entries(options.concurrency ?? {})) {
    if (!Object.hasOwn(service.methods, method))
      throw new ConfigError(
        `concurrency names ${JSON.stringify(method)}, which is no method of '${service.name}'; its methods are ${Object.keys(service.methods).join(', ')}`,
      )
    const limit = wholeNumber(`concurrency of '${service.name}.${method}'`, value, 1, MAX_CONCURRENCY)
    if (limit !== undefined) concurrency.set(method, limit)
  }
  return { concurrency, attemptTimeoutMs: wholeNumber('attemptTimeoutMs', options.attemptTimeoutMs, 1, MAX_MS) }
}

/** @throws ConfigError if it is no whole number from 0 on. */
export function checkedGraceMs(graceMs: number | undefined): number | undefined {
  return wholeNumber('graceMs', graceMs, 0, MAX_MS)
}

function named(what: string, name: string): string {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new ConfigError(`${what} ${problem}`)
  return name
}

function wholeNumber(name: string, value: unknown, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to ${max}; got ${describeValue(value)}`)
}
