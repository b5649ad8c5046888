import type { ConnectOptions } from '../broker-adapters/broker.ts'
import { CONNECT_OPTIONS } from '../broker-adapters/connect-options.ts'
import { factsOf } from '../contract/method.ts'
import type { Service } from '../contract/types.ts'
import { ConfigError } from '../protocol/errors.ts'
import { keyProblem, userHeadersProblem } from '../protocol/headers.ts'
import { isValidId } from '../protocol/ids.ts'
import type { Middleware } from '../protocol/middleware.ts'
import { assertOptionNames } from '../protocol/option-names.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import { describeValue } from '../protocol/redact.ts'
import type { CallState } from './call-state.ts'
import type { StubMethod } from './caller.ts'
import type { ClientOptions, KeptSendOptions, SendOptions, StartOptions, StubOptions, Validate } from './types.ts'

export const CLIENT_DEFAULTS = Object.freeze({
  name: 'client',
  timeoutMs: 30_000,
  failFast: false,
  validate: 'both',
  outboxCalls: 100_000,
  outboxBytes: 64 * 1024 * 1024,
  replyLeaseMs: 600_000,
  inFlight: 256,
  graceMs: 20_000,
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

/** Those of `connect` are in the same object, and checked there. */
export function resolveClientOptions(options: ClientOptions & ConnectOptions): ResolvedClientOptions {
  assertOptionNames('a client', options, CLIENT_OPTIONS)
  assertOptionNames('outbox', options.outbox ?? {}, ['calls', 'bytes'])
  const name = options.name ?? CLIENT_DEFAULTS.name
  const problem = nameProblem(name)
  if (problem !== undefined) throw new ConfigError(`the name of a client ${problem}`)
  const validate = options.validate ?? CLIENT_DEFAULTS.validate
  if (!['both', 'receiver', 'off'].includes(validate))
    throw new ConfigError(`validate must be 'both', 'receiver' or 'off'; got ${describeValue(validate)}`)
  const middleware = options.middleware ?? []
  if (!Array.isArray(middleware) || middleware.some((layer) => typeof layer !== 'function'))
    throw new ConfigError('middleware must be an array of functions (call, next) => Promise')
  return Object.freeze({
    name,
    timeoutMs: optionalInteger('timeoutMs', options.timeoutMs, 1),
    failFast: optionalBoolean('failFast', options.failFast) ?? CLIENT_DEFAULTS.failFast,
    middleware: [...middleware],
    validate,
    outbox: {
      calls: optionalInteger('outbox.calls', options.outbox?.calls, 1) ?? CLIENT_DEFAULTS.outboxCalls,
      bytes: optionalInteger('outbox.bytes', options.outbox?.bytes, 1) ?? CLIENT_DEFAULTS.outboxBytes,
    },
    replyLeaseMs: optionalInteger('replyLeaseMs', options.replyLeaseMs, 1000) ?? CLIENT_DEFAULTS.replyLeaseMs,
  })
}

const CLIENT_OPTIONS = [
  ...(['name', 'timeoutMs', 'failFast', 'middleware', 'validate', 'outbox', 'replyLeaseMs'] as const),
  ...CONNECT_OPTIONS,
] as const satisfies readonly (keyof (ClientOptions & ConnectOptions))[]

export interface ResolvedStubOptions {
  readonly group: string
  readonly timeoutMs: number | undefined
  readonly failFast: boolean | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Of the methods that declare it. */
  readonly priority: 'high' | 'normal' | undefined
}

export function resolveStubOptions(options: StubOptions, service: Service): ResolvedStubOptions {
  assertOptionNames('a stub', options, ['group', 'timeoutMs', 'failFast', 'headers', 'priority'])
  const hasPriority = Object.values(service.methods).some((method) => factsOf(method).priority === true)
  if (options.priority !== undefined && !hasPriority)
    throw new ConfigError(`no method of '${service.name}' declares priority: true, so a stub of it has none`)
  const group = resolveGroup(options)
  const headers = { ...plainHeaders(options.headers ?? {}) }
  assertHeaders('the stub', headers)
  return {
    group,
    timeoutMs: optionalInteger('timeoutMs', options.timeoutMs, 1),
    failFast: optionalBoolean('failFast', options.failFast),
    headers,
    priority: priorityOf(options.priority),
  }
}

/** Of a queue. */
export function resolveQueueGroup(options: { readonly group?: string | undefined }): string {
  assertOptionNames('a queue', options, ['group'])
  return resolveGroup(options)
}

function resolveGroup({ group }: { readonly group?: string | undefined }): string {
  if (group === undefined) return CLIENT_DEFAULTS.group
  const problem = nameProblem(group)
  if (problem !== undefined) throw new ConfigError(`the name of a group ${problem}`)
  return group
}

/** What a call or send of any method may say. */
export type RequestOptions = StartOptions & KeptSendOptions & { readonly key?: string | undefined }

/** How it was asked for: awaited, started as a `Call`, sent, or read item by item. */
export type Verb = 'call' | 'start' | 'send' | 'stream'

const CALL_OPTIONS = ['timeoutMs', 'headers', 'signal', 'failFast', 'key', 'priority'] as const
const OPTIONS: Readonly<Record<Verb, readonly (keyof RequestOptions)[]>> = {
  call: CALL_OPTIONS,
  start: [...CALL_OPTIONS, 'keepMs', 'id'],
  stream: CALL_OPTIONS,
  send: [...CALL_OPTIONS, 'keepMs', 'id', 'delayMs', 'expiresMs'],
}

/** For a call or send without any: nothing of it has to be checked. */
export const NO_OPTIONS: RequestOptions = Object.freeze({})

/** How long a call waits for its outcome, and a send for its confirmation; wrong ones are refused elsewhere. */
export function timeoutOf(
  client: ResolvedClientOptions,
  { stub, facts }: StubMethod,
  { kind, given }: { readonly kind: CallState['kind']; readonly given: number | undefined },
): number {
  const asked = given ?? (kind !== 'send' ? (stub.timeoutMs ?? facts.timeoutMs ?? client.timeoutMs) : undefined)
  return typeof asked === 'number' && asked > 0 ? asked : CLIENT_DEFAULTS.timeoutMs
}

/** Options of a single call or send; what they ask wrongly rejects that call. */
export function checkCallOptions(verb: Verb, options: RequestOptions, method: StubMethod): void {
  if (method.facts.keyed === true) assertKey(method, options?.key)
  if (options === NO_OPTIONS) return
  assertOptionNames(verb === 'send' ? 'a send' : 'a call', options, OPTIONS[verb])
  optionalInteger('timeoutMs', options.timeoutMs, 1)
  optionalBoolean('failFast', options.failFast)
  refuseUndeclared(method, options)
  if (verb === 'start' || verb === 'send') checkKept(verb, options, method)
  if (verb === 'send') checkSendOptions(options)
  assertSignal(options.signal)
  if (options.headers !== undefined)
    assertHeaders('the call', { ...method.stub.headers, ...plainHeaders(options.headers) })
}

function assertKey({ service, method }: StubMethod, key: unknown): void {
  if (key === undefined)
    throw new ConfigError(
      `method '${service}.${method}' is keyed: say { key: '…' }, calls of one key run in their order`,
    )
  const problem = keyProblem(key)
  if (problem !== undefined) throw new ConfigError(`the key of a call of '${service}.${method}' ${problem}`)
}

function refuseUndeclared({ service, method, facts }: StubMethod, { key, priority }: RequestOptions): void {
  if (key !== undefined && facts.keyed !== true)
    throw new ConfigError(`method '${service}.${method}' is not keyed, so its calls have no key: declare keyed: true`)
  if (priorityOf(priority) !== undefined && facts.priority !== true)
    throw new ConfigError(`method '${service}.${method}' has no priority: declare priority: true in its contract`)
}

function priorityOf(priority: unknown): 'high' | 'normal' | undefined {
  if (priority === undefined || priority === 'high' || priority === 'normal') return priority
  throw new ConfigError(`priority must be 'high' or 'normal'; got ${describeValue(priority)}`)
}

function checkKept(verb: Verb, { keepMs, id }: RequestOptions, { service, method, facts }: StubMethod): void {
  optionalInteger('keepMs', keepMs, 1, MAX_DELAY_MS)
  if (keepMs !== undefined && facts.kind === 'oneWay')
    throw new ConfigError(`method '${service}.${method}' is oneWay: there is no outcome to keep`)
  if (id === undefined) return
  if (verb === 'start' && keepMs === undefined)
    throw new ConfigError(
      'a call is given an id only together with keepMs: without it nobody could ask for its outcome',
    )
  assertId(id)
}

/** Of attach. */
export function checkAttachOptions(
  id: unknown,
  options: { readonly timeoutMs?: unknown; readonly signal?: unknown },
): void {
  assertOptionNames('attach', options, ['timeoutMs', 'signal'])
  assertId(id)
  optionalInteger('timeoutMs', options.timeoutMs, 1)
  assertSignal(options.signal)
}

function assertId(id: unknown): void {
  if (typeof id === 'string' && isValidId(id)) return
  throw new ConfigError(
    `an id must be 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not only digits; got ${JSON.stringify(id)?.slice(0, 80)}`,
  )
}

function assertSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new ConfigError('signal must be an AbortSignal')
}

function checkSendOptions({ delayMs = 0, expiresMs }: SendOptions): void {
  optionalInteger('delayMs', delayMs, 0, MAX_DELAY_MS)
  if ((optionalInteger('expiresMs', expiresMs, 1, MAX_DELAY_MS) ?? Infinity) <= delayMs)
    throw new ConfigError(`expiresMs must be more than delayMs, or it is never run; got ${expiresMs} and ${delayMs}`)
}

/** One id for many inputs would store the first of them only. */
export function refuseId(options: object): void {
  if ('id' in options) throw new ConfigError('sendMany takes no id: one id is one send')
}

export function resolveInFlight(inFlight: number | undefined): number {
  return optionalInteger('inFlight', inFlight, 1) ?? CLIENT_DEFAULTS.inFlight
}

/** For `ready` and `close`. Node would take an Infinity for 1 ms. */
export function resolveWait(name: 'timeoutMs' | 'graceMs', value: number | undefined): number | undefined {
  return optionalInteger(name, value, 0)
}

function plainHeaders(headers: unknown): Readonly<Record<string, string>> {
  const prototype: unknown =
    typeof headers === 'object' && headers !== null ? Object.getPrototypeOf(headers) : undefined
  if (prototype !== null && prototype !== Object.prototype)
    throw new ConfigError('headers must be a plain object of strings')
  return headers as Readonly<Record<string, string>> // its values are checked by userHeadersProblem
}

function assertHeaders(who: string, headers: Readonly<Record<string, string>>): void {
  const problem = userHeadersProblem(Object.entries(headers))
  if (problem !== undefined) throw new ConfigError(`${who} ${problem}`)
}

/** Ten years. */
const MAX_DELAY_MS = 315_360_000_000
const MAX_MS = 2_147_483_647

function optionalBoolean(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw new ConfigError(`${name} must be true or false; got ${describeValue(value)}`)
}

function optionalInteger(name: string, value: unknown, min: number, max: number = MAX_MS): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to ${max}; got ${describeValue(value)}`)
}
