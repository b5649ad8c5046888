import { ConfigError } from '../protocol/errors.ts'
import { nameProblem } from '../protocol/queue-names.ts'
import type { ConnectOptions } from './broker.ts'

export interface ResolvedConnectOptions extends Required<Pick<ConnectOptions, 'log'>> {
  readonly namespace: string
  readonly connectTimeoutMs: number
  readonly maxPayloadBytes: number
}

const MIN_PAYLOAD_BYTES = 1024
const MAX_MS = 2_147_483_647
const KNOWN: readonly string[] = ['log', 'namespace', 'connectTimeoutMs', 'maxPayloadBytes']

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
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name))
      throw new ConfigError(`connect has no option ${JSON.stringify(name)}; known are ${KNOWN.join(', ')}`)
  }
}

export function resolveGraceMs(graceMs: number | undefined): number {
  return wholeNumber('graceMs', graceMs ?? 20_000, 0)
}

function wholeNumber(name: string, value: unknown, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= MAX_MS) return value
  throw new ConfigError(`${name} must be a whole number from ${min} to ${MAX_MS}; got ${String(value)}`)
}
