import { ConfigError } from '../../protocol/errors.ts'
import { assertOptionNames } from '../../protocol/option-names.ts'
import { describeValue, redactUrl } from '../../protocol/redact.ts'
import { integerOptionOf } from '../integer-option.ts'

const integer = integerOptionOf('redis')

/** How Redis is reached; only `url` is needed. */
export interface RedisOptions {
  /**
   * `redis://user:password@host:6379/0`, or `rediss:`. Several are tried in turn until one takes writes: a primary and those
   * that may become it. With `cluster` they are nodes of one.
   */
  readonly url: string | readonly string[]
  /**
   * The URLs are nodes of a Redis Cluster.
   * @default false
   */
  readonly cluster?: boolean | undefined
  /** Given to `ioredis` as they are, beside what the URL says: `tls`, `sentinels`, `name`, `sentinelPassword`, `family`, … */
  readonly ioredis?: Readonly<Record<string, unknown>> | undefined
  /**
   * For how long a worker that says nothing any more keeps what it holds. Also the longest time for which a handler may block its
   * event loop without another worker running its call too. ms
   * @default 10_000
   */
  readonly lockMs?: number | undefined
  /**
   * How often it is looked for locks that ran out: a killed worker's calls run elsewhere after `lockMs` and up to twice this. ms
   * @default 2_500
   */
  readonly stalledCheckMs?: number | undefined
  /**
   * How long a node is given to answer. ms
   * @default 10_000
   */
  readonly dialTimeoutMs?: number | undefined
  /**
   * Larger messages are refused. Redis holds all of them in memory, and takes 512 MiB at most.
   * @default 16_777_216
   */
  readonly maxMessageBytes?: number | undefined
}

export interface RedisNode {
  /** As it was given, with its secrets. */
  readonly url: string
  /** Without secrets. */
  readonly shown: string
  /** Who logs in; undefined: `default`. */
  readonly username: string | undefined
}

/** Checked and complete. */
export interface ResolvedRedisOptions {
  readonly nodes: readonly [RedisNode, ...RedisNode[]]
  readonly isCluster: boolean
  readonly ioredis: Readonly<Record<string, unknown>>
  readonly lockMs: number
  readonly stalledCheckMs: number
  readonly dialTimeoutMs: number
  readonly maxMessageBytes: number
}

const NAMES = ['url', 'cluster', 'ioredis', 'lockMs', 'stalledCheckMs', 'dialTimeoutMs', 'maxMessageBytes'] as const
const URL_FORM = 'redis://user:password@host:6379/0'
/** What the adapter must decide itself: its promises rest on them. */
const OURS = [
  'lazyConnect',
  'retryStrategy',
  'sentinelRetryStrategy',
  'enableOfflineQueue',
  'autoResendUnfulfilledCommands',
  'autoResubscribe',
  'maxRetriesPerRequest',
  'keyPrefix',
  'enableAutoPipelining',
  'connectionName',
  'connectTimeout',
]

/** The one place that checks the options. Throws ConfigError with field, value, range and advice. */
export function resolveRedisOptions(raw: RedisOptions): ResolvedRedisOptions {
  if (typeof raw !== 'object' || raw === null) throw new ConfigError("redis(options): give an object with 'url'")
  assertOptionNames('redis()', raw, NAMES)
  const { url, cluster = false, ioredis = {} } = raw
  if (typeof cluster !== 'boolean')
    throw new ConfigError(`redis: 'cluster' must be true or false, got ${describeValue(cluster)}`)
  if (typeof ioredis !== 'object' || ioredis === null)
    throw new ConfigError(`redis: 'ioredis' must be an object with options of ioredis, got ${describeValue(ioredis)}`)
  const ours = OURS.find((name) => name in ioredis)
  if (ours !== undefined) throw new ConfigError(`redis: 'ioredis' must not have '${ours}', which the adapter decides`)
  const [first, ...others] = (typeof url === 'string' ? [url] : asUrls(url)).map(readNode)
  if (first === undefined) throw new ConfigError(`redis: 'url' must have at least one URL like ${URL_FORM}`)
  return Object.freeze({
    nodes: [first, ...others] as const,
    isCluster: cluster,
    ioredis,
    lockMs: integer('lockMs', raw.lockMs, 10_000, [500, 600_000]),
    stalledCheckMs: integer('stalledCheckMs', raw.stalledCheckMs, 2_500, [100, 600_000]),
    dialTimeoutMs: integer('dialTimeoutMs', raw.dialTimeoutMs, 10_000, [100, 600_000]),
    maxMessageBytes: integer('maxMessageBytes', raw.maxMessageBytes, 16 * 1024 * 1024, [1024, 256 * 1024 * 1024]),
  })
}

function asUrls(url: unknown): readonly unknown[] {
  if (Array.isArray(url)) return url
  throw new ConfigError(`redis: 'url' must be a URL like ${URL_FORM} or an array of them, got ${describeValue(url)}`)
}

function readNode(text: unknown): RedisNode {
  if (typeof text !== 'string')
    throw new ConfigError(`redis: a URL like ${URL_FORM} must be a string, got ${describeValue(text)}`)
  const shown = JSON.stringify(redactUrl(text).slice(0, 200))
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === '') throw new ConfigError(`redis: ${shown} is no URL like ${URL_FORM}`)
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
    throw new ConfigError(`redis: ${shown} must begin with redis:// or rediss://`)
  if (url.search !== '' || url.hash !== '')
    throw new ConfigError(
      `redis: ${shown} has settings behind the database: give them as redis({ url, ioredis: { … } })`,
    )
  if (!/^\/?\d*$/.test(url.pathname))
    throw new ConfigError(`redis: the end of ${shown} must be the number of a database, as in redis://host:6379/0`)
  return Object.freeze({
    url: text,
    shown: redactUrl(text),
    username: url.username === '' ? undefined : url.username,
  })
}
