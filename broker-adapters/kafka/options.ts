import type { ConnectionOptions } from 'node:tls'
import { ConfigError } from '../../protocol/errors.ts'
import { assertOptionNames } from '../../protocol/option-names.ts'
import { describeValue, redactUrl } from '../../protocol/redact.ts'
import { integerOptionOf } from '../integer-option.ts'

const integer = integerOptionOf('kafka')

/** How Kafka is reached; only `url` is needed. */
export interface KafkaOptions {
  /** `kafka://host:9092`; several nodes of one cluster as `kafka://a:9092,b:9092` or as an array. A user in it logs in by SASL. */
  readonly url: string | readonly string[]
  /**
   * TLS: true, or options of Node's `tls.connect`, such as `ca`, `cert`, `key`, `servername`.
   * @default false
   */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /**
   * How to log in; `mechanism` alone where the URL has user and password.
   * @default with a user in the URL: PLAIN
   */
  readonly sasl?: KafkaLogin | undefined
  /**
   * Partitions of a work topic that is made: so many workers share it at most.
   * @default 24
   */
  readonly partitions?: number | undefined
  /**
   * Copies of each topic that is made; -1: as the server is set.
   * @default -1
   */
  readonly replicationFactor?: number | undefined
  /**
   * Among so many partitions the inboxes of a namespace are spread.
   * @default 16
   */
  readonly replyPartitions?: number | undefined
  /**
   * For how long the server gives a worker that says nothing any more its deliveries: a killed worker's calls run elsewhere after it.
   * Servers take 6,000 to 1,800,000, as they are set. ms
   * @default 10_000
   */
  readonly sessionMs?: number | undefined
  /**
   * How long what waits in a work topic is stored by it; calls with longer deadlines, and queues that wait longer, need more.
   * @default 604_800_000, a week. ms
   */
  readonly retentionMs?: number | undefined
  /**
   * The longest `keepMs` of a call. Kept outcomes are stored for so long.
   * @default 604_800_000, a week. ms
   */
  readonly maxKeepMs?: number | undefined
  /**
   * How long a node is given to answer a dial. ms
   * @default 10_000
   */
  readonly dialTimeoutMs?: number | undefined
  /**
   * How long it is given for everything else. ms
   * @default 10_000
   */
  readonly requestTimeoutMs?: number | undefined
  /**
   * Larger messages are refused; the server's own limit is 1,048,588 with what is around them.
   * @default 1_040_000
   */
  readonly maxMessageBytes?: number | undefined
}

export interface KafkaLogin {
  readonly mechanism?: 'plain' | 'scram-sha-256' | 'scram-sha-512' | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
}

/** Checked and complete. */
export interface ResolvedKafkaOptions {
  /** `host:port` */
  readonly nodes: readonly string[]
  /** Without secrets. */
  readonly url: string
  readonly ssl: ConnectionOptions | undefined
  readonly sasl: { readonly mechanism: string; readonly username: string; readonly password: string } | undefined
  readonly partitions: number
  readonly replicationFactor: number
  readonly replyPartitions: number
  readonly sessionMs: number
  readonly retentionMs: number
  readonly maxKeepMs: number
  readonly dialTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly maxMessageBytes: number
}

const NAMES = [
  'url',
  'ssl',
  'sasl',
  'partitions',
  'replicationFactor',
  'replyPartitions',
  'sessionMs',
  'retentionMs',
  'maxKeepMs',
  'dialTimeoutMs',
  'requestTimeoutMs',
  'maxMessageBytes',
] as const
const URL_FORM = 'kafka://host:9092'
const WEEK_MS = 604_800_000
const YEAR_MS = 31_536_000_000
const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512']

/** The one place that checks the options. Throws ConfigError with field, value, range and advice. */
export function resolveKafkaOptions(raw: KafkaOptions): ResolvedKafkaOptions {
  if (typeof raw !== 'object' || raw === null) throw new ConfigError("kafka(options): give an object with 'url'")
  assertOptionNames('kafka()', raw, NAMES)
  const address = readAddress(raw.url)
  return Object.freeze({
    nodes: address.nodes,
    url: address.shown,
    ssl: readTls(raw.ssl),
    sasl: readLogin(raw.sasl, address),
    partitions: integer('partitions', raw.partitions, 24, [1, 10_000]),
    replicationFactor: readReplication(raw.replicationFactor),
    replyPartitions: integer('replyPartitions', raw.replyPartitions, 16, [1, 10_000]),
    sessionMs: integer('sessionMs', raw.sessionMs, 10_000, [1_000, 1_800_000]),
    retentionMs: integer('retentionMs', raw.retentionMs, WEEK_MS, [60_000, YEAR_MS]),
    maxKeepMs: integer('maxKeepMs', raw.maxKeepMs, WEEK_MS, [60_000, YEAR_MS]),
    dialTimeoutMs: integer('dialTimeoutMs', raw.dialTimeoutMs, 10_000, [100, 600_000]),
    requestTimeoutMs: integer('requestTimeoutMs', raw.requestTimeoutMs, 10_000, [500, 600_000]),
    maxMessageBytes: integer('maxMessageBytes', raw.maxMessageBytes, 1_040_000, [1_024, 256 * 1024 * 1024]),
  })
}

function readReplication(raw: number | undefined): number {
  const copies = integer('replicationFactor', raw, -1, [-1, 32])
  if (copies !== 0) return copies
  throw new ConfigError("kafka: 'replicationFactor' must be -1, as the server is set, or from 1 to 32, got 0")
}

interface Address {
  readonly nodes: readonly string[]
  readonly shown: string
  readonly username: string | undefined
  readonly password: string | undefined
}

function readAddress(url: unknown): Address {
  const all: readonly unknown[] = Array.isArray(url) ? url : [url]
  const texts = all.flatMap((text): readonly unknown[] => (typeof text === 'string' ? splitNodes(text) : [text]))
  const nodes = texts.map(readNode)
  const [first] = nodes
  if (first === undefined) throw new ConfigError(`kafka: 'url' must have at least one URL like ${URL_FORM}`)
  const login = nodes.find(({ username }) => username !== '')
  return {
    nodes: nodes.map(({ host }) => host),
    shown: `kafka://${nodes.map(({ host }) => host).join(',')}`,
    username: login?.username,
    password: login?.password,
  }
}

/** `kafka://user:password@a:1,b:2` → `kafka://user:password@a:1`, `kafka://b:2` */
export function splitNodes(url: string): readonly string[] {
  const [first = '', ...others] = url.split(',')
  return [first, ...others.map((other) => (other.includes('://') ? other : `kafka://${other}`))]
}

function readNode(text: unknown): { readonly host: string; readonly username: string; readonly password: string } {
  if (typeof text !== 'string')
    throw new ConfigError(`kafka: a URL like ${URL_FORM} must be a string, got ${describeValue(text)}`)
  const shown = JSON.stringify(redactUrl(text).slice(0, 200))
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === '') throw new ConfigError(`kafka: ${shown} is no URL like ${URL_FORM}`)
  if (url.protocol !== 'kafka:') throw new ConfigError(`kafka: ${shown} must begin with kafka://`)
  if (url.search !== '' || url.hash !== '' || !/^\/?$/.test(url.pathname))
    throw new ConfigError(`kafka: ${shown} has settings behind the port: give them as kafka({ url, … })`)
  return {
    host: `${url.hostname}:${url.port === '' ? '9092' : url.port}`,
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  }
}

function readTls(ssl: unknown): ConnectionOptions | undefined {
  if (ssl === undefined || ssl === false) return undefined
  if (ssl === true) return {}
  if (typeof ssl === 'object' && ssl !== null) return ssl
  throw new ConfigError(`kafka: 'ssl' must be true or an object with options of tls.connect, got ${describeValue(ssl)}`)
}

function readLogin(sasl: unknown, address: Address): ResolvedKafkaOptions['sasl'] {
  if (sasl === undefined && address.username === undefined) return undefined
  if (sasl !== undefined && (typeof sasl !== 'object' || sasl === null))
    throw new ConfigError(
      `kafka: 'sasl' must be an object with mechanism, username and password, got ${describeValue(sasl)}`,
    )
  const given: Record<string, unknown> = { ...sasl }
  const { mechanism = 'plain', username = address.username, password = address.password } = given
  if (typeof mechanism !== 'string' || !MECHANISMS.includes(mechanism.toLowerCase()))
    throw new ConfigError(
      `kafka: 'sasl.mechanism' must be one of ${MECHANISMS.join(', ')}, got ${describeValue(mechanism)}`,
    )
  if (typeof username !== 'string' || username === '' || typeof password !== 'string')
    throw new ConfigError("kafka: 'sasl' needs a username and a password, there or in the URL")
  return { mechanism: mechanism.toLowerCase(), username, password }
}
