import { ConfigError } from '../../protocol/errors.ts'
import { assertOptionNames } from '../../protocol/option-names.ts'
import { describeValue, redactUrl } from '../../protocol/redact.ts'
import { integerOptionOf } from '../integer-option.ts'

const integer = integerOptionOf('rabbitmq')

/** What `tls.connect` of Node takes of these: https://nodejs.org/api/tls.html#tlscreatesecurecontextoptions */
export interface RabbitmqTls {
  /** Certificates of the authorities that are trusted, PEM. @default those of Node */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** Of this client, PEM; with `key`. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  readonly passphrase?: string | undefined
  /** The name that the server's certificate must have. @default the host of the URL */
  readonly servername?: string | undefined
}

/** How RabbitMQ is reached; only `url` is needed. */
export interface RabbitmqOptions {
  /**
   * `amqp://user:password@host:5672/vhost`, or `amqps:`; of a cluster one for each node, which are tried in turn. No user
   * means guest, no vhost means `/`.
   */
  readonly url: string | readonly string[]
  readonly tls?: RabbitmqTls | undefined
  /**
   * A connection that is silent for about twice as long is given up, by either side. Whole seconds.
   * @default 10_000
   */
  readonly heartbeatMs?: number | undefined
  /**
   * How long one node is given to answer.
   * @default 10_000
   */
  readonly dialTimeoutMs?: number | undefined
  /**
   * Of inboxes and mailboxes. 'quorum' keeps replies when a node of a cluster is lost, at some cost.
   * @default 'classic'
   */
  readonly replyQueueType?: 'classic' | 'quorum' | undefined
  /**
   * Larger messages are refused here, before one of them closes a channel at the server. RabbitMQ 4 takes 16 MiB unless it is
   * configured otherwise, older ones 128 MiB.
   * @default 16_777_216
   */
  readonly maxMessageBytes?: number | undefined
}

/** One node of the cluster. */
export interface RabbitmqNode {
  /** Without secrets. */
  readonly url: string
  readonly protocol: 'amqp' | 'amqps'
  readonly hostname: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly vhost: string
}

/** Checked and complete. */
export interface ResolvedRabbitmqOptions {
  readonly nodes: readonly [RabbitmqNode, ...RabbitmqNode[]]
  readonly tls: RabbitmqTls
  readonly heartbeatMs: number
  readonly dialTimeoutMs: number
  readonly replyQueueType: 'classic' | 'quorum'
  readonly maxMessageBytes: number
}

const NAMES = ['url', 'tls', 'heartbeatMs', 'dialTimeoutMs', 'replyQueueType', 'maxMessageBytes'] as const
const TLS_NAMES = ['ca', 'cert', 'key', 'passphrase', 'servername'] as const
const URL_FORM = 'amqp://user:password@host:5672/vhost'

/** The one place that checks the options. Throws ConfigError with field, value, range and advice. */
export function resolveRabbitmqOptions(raw: RabbitmqOptions): ResolvedRabbitmqOptions {
  if (typeof raw !== 'object' || raw === null) throw new ConfigError("rabbitmq(options): give an object with 'url'")
  assertOptionNames('rabbitmq()', raw, NAMES)
  const { url, tls = {}, replyQueueType = 'classic' } = raw
  assertOptionNames('rabbitmq(): tls', tls, TLS_NAMES)
  if (replyQueueType !== 'classic' && replyQueueType !== 'quorum')
    throw new ConfigError(
      `rabbitmq: 'replyQueueType' must be "classic" or "quorum", got ${describeValue(replyQueueType)}`,
    )
  const [first, ...others] = (typeof url === 'string' ? [url] : asUrls(url)).map(readNode)
  if (first === undefined) throw new ConfigError(`rabbitmq: 'url' must have at least one URL like ${URL_FORM}`)
  const heartbeatMs = integer('heartbeatMs', raw.heartbeatMs, 10_000, [1_000, 600_000])
  if (heartbeatMs % 1_000 !== 0)
    throw new ConfigError(`rabbitmq: 'heartbeatMs' must be whole seconds, as AMQP counts them; got ${heartbeatMs}`)
  return Object.freeze({
    nodes: [first, ...others] as const,
    tls,
    heartbeatMs,
    dialTimeoutMs: integer('dialTimeoutMs', raw.dialTimeoutMs, 10_000, [100, 600_000]),
    replyQueueType,
    maxMessageBytes: integer('maxMessageBytes', raw.maxMessageBytes, 16 * 1024 * 1024, [1024, 512 * 1024 * 1024]),
  })
}

function asUrls(url: unknown): readonly unknown[] {
  if (Array.isArray(url)) return url
  throw new ConfigError(`rabbitmq: 'url' must be a URL like ${URL_FORM} or an array of them, got ${describeValue(url)}`)
}

function readNode(text: unknown): RabbitmqNode {
  if (typeof text !== 'string')
    throw new ConfigError(`rabbitmq: a URL like ${URL_FORM} must be a string, got ${describeValue(text)}`)
  const shown = JSON.stringify(redactUrl(text).slice(0, 200))
  const url = parse(text)
  if (url === undefined || url.hostname === '') throw new ConfigError(`rabbitmq: ${shown} is no URL like ${URL_FORM}`)
  const { protocol } = url
  if (protocol !== 'amqp:' && protocol !== 'amqps:')
    throw new ConfigError(`rabbitmq: ${shown} must begin with amqp:// or amqps://`)
  if (url.search !== '' || url.hash !== '')
    throw new ConfigError(
      `rabbitmq: ${shown} has settings behind the vhost: give them as options, rabbitmq({ url, heartbeatMs, tls })`,
    )
  if (url.pathname.indexOf('/', 1) > 0)
    throw new ConfigError(`rabbitmq: the vhost of ${shown} has a '/': write it as %2F, as in amqp://host/%2Fmine`)
  const isSecure = protocol === 'amqps:'
  return Object.freeze({
    url: redactUrl(text),
    protocol: isSecure ? 'amqps' : 'amqp',
    hostname: url.hostname.replaceAll(/^\[|\]$/g, ''),
    port: url.port === '' ? (isSecure ? 5671 : 5672) : Number(url.port),
    username: url.username === '' ? 'guest' : decode(url.username, shown),
    password: url.username === '' ? 'guest' : decode(url.password, shown),
    vhost: url.pathname.length < 2 ? '/' : decode(url.pathname.slice(1), shown),
  })
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function decode(part: string, shown: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ConfigError(`rabbitmq: ${shown} has a '%' that begins no character: write it as %25`)
  }
}
