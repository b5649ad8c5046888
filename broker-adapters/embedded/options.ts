import { resolve } from 'node:path'
import { ConfigError } from '../../protocol/errors.ts'
import { describeValue } from '../../protocol/redact.ts'
import { integerOptionOf } from '../integer-option.ts'

const integer = integerOptionOf('embedded')

/** How the embedded broker is opened; only `dir` is needed. Every process that uses a directory names the same one. */
export interface EmbeddedOptions {
  /** The directory that holds the queues; made (mode 0700) if it is missing. Relative to the working directory. */
  readonly dir: string
  /**
   * 'never': this process does not keep the queues itself, so it waits until another one does.
   * @default 'auto'
   */
  readonly host?: 'auto' | 'never' | undefined
  /**
   * 'disk': stored means flushed to the disk. 'process': written to the page cache, which survives any crash of processes,
   * but a power cut may make the store unreadable.
   * @default 'disk'
   */
  readonly durability?: 'disk' | 'process' | undefined
  /**
   * Publishes are refused while more than this is stored.
   * @default 1_073_741_824
   */
  readonly maxBytes?: number | undefined
  /**
   * A hub that says nothing for this long is succeeded by another process.
   * @default 10_000
   */
  readonly silenceMs?: number | undefined
  /**
   * A process that says nothing to its hub for this long is given up: its deliveries go to others.
   * @default 30_000
   */
  readonly peerSilenceMs?: number | undefined
  /**
   * How long a new hub keeps deliveries for processes that it cannot know to live, in other containers for one, so that
   * running calls are not run again. For those that it sees alive it keeps them for `peerSilenceMs`.
   * @default 1_500
   */
  readonly resumeMs?: number | undefined
}

/** Checked and complete; `dir` is absolute. */
export interface ResolvedEmbeddedOptions {
  readonly dir: string
  readonly host: 'auto' | 'never'
  readonly durability: 'disk' | 'process'
  readonly maxBytes: number
  readonly silenceMs: number
  readonly peerSilenceMs: number
  readonly resumeMs: number
}

const DEFAULTS = Object.freeze({
  host: 'auto',
  durability: 'disk',
  maxBytes: 1024 * 1024 * 1024,
  silenceMs: 10_000,
  peerSilenceMs: 30_000,
  resumeMs: 1_500,
} as const)

const HOSTS = ['auto', 'never'] as const
const DURABILITIES = ['disk', 'process'] as const

/** The one place that checks the options. Throws ConfigError with field, value, range and advice. */
export function resolveEmbeddedOptions(raw: EmbeddedOptions): ResolvedEmbeddedOptions {
  if (typeof raw !== 'object' || raw === null) throw new ConfigError("embedded(options): give an object with 'dir'")
  if (typeof raw.dir !== 'string' || raw.dir === '' || raw.dir.includes('\0')) {
    throw new ConfigError(`embedded: 'dir' must be the path of a directory, got ${describeValue(raw.dir)}`)
  }
  return Object.freeze({
    dir: resolve(raw.dir),
    host: oneOf('host', raw.host, HOSTS, DEFAULTS.host),
    durability: oneOf('durability', raw.durability, DURABILITIES, DEFAULTS.durability),
    maxBytes: integer('maxBytes', raw.maxBytes, DEFAULTS.maxBytes, [1024 * 1024, Number.MAX_SAFE_INTEGER]),
    silenceMs: integer('silenceMs', raw.silenceMs, DEFAULTS.silenceMs, [200, 3_600_000]),
    peerSilenceMs: integer('peerSilenceMs', raw.peerSilenceMs, DEFAULTS.peerSilenceMs, [200, 3_600_000]),
    resumeMs: integer('resumeMs', raw.resumeMs, DEFAULTS.resumeMs, [0, 60_000]),
  })
}

function oneOf<Value extends string>(
  field: string,
  value: Value | undefined,
  allowed: readonly Value[],
  fallback: Value,
): Value {
  if (value === undefined) return fallback
  if (allowed.includes(value)) return value
  throw new ConfigError(
    `embedded: '${field}' must be ${allowed.map(describeValue).join(' or ')}, got ${describeValue(value)}`,
  )
}
