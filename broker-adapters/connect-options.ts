import { ConfigError } from '../protocol/errors.ts'
import { assertOptionNames } from '../protocol/option-names.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import { describeValue } from '../protocol/redact.ts'
import type { ConnectOptions } from './broker.ts'

export interface ResolvedConnectOptions extends Required<Pick<ConnectOptions, 'log'>> {
  readonly namespace: string
  readonly connectTimeoutMs: number
  readonly maxPayloadBytes: number
}

const MIN_PAYLOAD_BYTES = 1024
const MAX_MS = 2_147_483_647
export const CONNECT_OPTIONS = [
  'log',
  'namespace',
  'connectTimeoutMs',
  'maxPayloadBytes',
] as const satisfies readonly (keyof ConnectOptions)[]

/** Clients and workers pass their own options in the same object, so other names are not refused here. */
export function resolveConnectOptions(options: ConnectOptions): ResolvedConnectOptions {
  const namespace = options.namespace ?? 'replyto'
  const problem = nameProblem(namespace)
  if (problem !== undefined) throw new ConfigError(`namespace ${problem}`)
  if (options.log !== undefined && typeof options.log !== 'function')
    throw new ConfigError('log must be a function that takes a line')
  return {
    namespace,
    log: options.log,
    connectTimeoutMs: wholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1),
    maxPayloadBytes: wholeNumber('maxPayloadBytes', options.maxPayloadBytes ?? 1_000_000, MIN_PAYLOAD_BYTES),
  }
}

/** A misspelt namespace would silently be the default one. */
export function assertConnectOptions(options: ConnectOptions): void {
  assertOptionNames('connect', options, CONNECT_OPTIONS)
}

/** A client or worker that shares a broker takes these from it; its own would do nothing. */
export function refuseConnectOptions(who: 'client' | 'worker', options: ConnectOptions): void {
  for (const name of CONNECT_OPTIONS) {
    if (options[name] !== undefined)
      throw new ConfigError(`${name} belongs to the broker that this ${who} shares: give it to connect()`)
  }
}

export function checkedGraceMs(graceMs: number | undefined): number | undefined {
  return graceMs === undefined ? undefined : wholeNumber('graceMs', graceMs, 0)
}

function wholeNumber(name: string, value: unknown, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= MAX_MS) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to ${MAX_MS}; got ${describeValue(value)}`)
}
