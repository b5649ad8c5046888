import { resolve } from 'node:path'
import type { Clock } from '../protocol/clock.ts'
import { ConfigError } from '../protocol/errors.ts'
import { redactUrl } from '../protocol/redact.ts'
import type { AdapterFactory, BrokerAdapter } from './adapter.ts'

/** What `connect` was given, read: which adapter, and how people may see its address. */
export interface Target {
  /** Without secrets. */
  readonly url: string
  readonly load: () => Promise<BrokerAdapter>
  readonly clock?: Clock | undefined
}

export type TargetOption = string | readonly string[] | AdapterFactory | undefined

/**
 * URL → adapter. Adapters and their libraries are imported on first use; here a new broker gets its line.
 * No target: `REPLYTO_URL`, else `file:./.replyto`.
 * @throws ConfigError for what is no target; a missing library is told by `load`.
 */
export function readTarget(option: TargetOption): Target {
  const fromEnvironment = process.env['REPLYTO_URL']
  if (option === undefined && fromEnvironment !== undefined) return readUrl(fromEnvironment, 'REPLYTO_URL: ')
  const target: unknown = option ?? 'file:./.replyto'
  if (typeof target === 'string') return readUrl(target)
  if (isFactory(target))
    return { url: redactUrl(target.url), load: async () => target.create(), clock: target['~clock'] }
  if (Array.isArray(target) && target.length === 1 && typeof target[0] === 'string') return readUrl(target[0])
  if (Array.isArray(target) && target.length > 1) return readNodes(target)
  throw new ConfigError(
    `a broker is a URL like 'file:./.replyto' or what an adapter's function gives; got ${Array.isArray(target) ? 'an array without a URL' : typeof target}`,
  )
}

function readUrl(url: string, source = ''): Target {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  const rest = scheme === undefined ? '' : url.slice(scheme.length + 1)
  switch (scheme) {
    case 'file':
      return readFile(url, rest)
    case 'memory':
      return readMemory(rest)
    case 'amqp':
    case 'amqps':
      return readAmqp([url])
    case 'redis':
    case 'rediss':
      return readRedis([url])
    case 'kafka':
      return readKafka([url])
    default:
      throw new ConfigError(
        `${source}no broker has a URL like ${quoteUrl(url)}: known are file:<directory>, amqp://<host>, redis://<host>, kafka://<host> and memory:<name>`,
      )
  }
}

/** Several nodes of one cluster. */
function readNodes(urls: readonly unknown[]): Target {
  if (urls.every((url): url is string => typeof url === 'string' && AMQP.test(url))) return readAmqp(urls)
  if (urls.every((url): url is string => typeof url === 'string' && REDIS.test(url))) return readRedis(urls)
  if (urls.every((url): url is string => typeof url === 'string' && KAFKA.test(url))) return readKafka(urls)
  throw new ConfigError(
    'several nodes are given, but only those of one RabbitMQ (amqp://, amqps://), one Redis (redis://, rediss://) or one Kafka (kafka://) are taken: give one URL',
  )
}

const AMQP = /^amqps?:/i
const REDIS = /^rediss?:/i
const KAFKA = /^kafka:/i

/** What is wrong with the URL is told when the adapter is loaded, as its options are checked there. */
function readAmqp(url: readonly string[]): Target {
  const bad = url.find((one) => !URL.canParse(one))
  if (bad !== undefined) throw new ConfigError(`${quoteUrl(bad)} is no URL like amqp://user:password@host:5672/vhost`)
  return {
    url: url.map(redactUrl).join(','),
    load: async () => (await import('./rabbitmq/index.ts')).rabbitmq({ url }).create(),
  }
}

function readRedis(url: readonly string[]): Target {
  const bad = url.find((one) => !URL.canParse(one))
  if (bad !== undefined) throw new ConfigError(`${quoteUrl(bad)} is no URL like redis://user:password@host:6379/0`)
  return {
    url: url.map(redactUrl).join(','),
    load: async () => (await import('./redis/index.ts')).redis({ url }).create(),
  }
}

/** `kafka://a:9092,b:9092` names several nodes of one cluster; each must be one. */
function readKafka(url: readonly string[]): Target {
  const nodes = url.flatMap((one) => one.split(',').map((node) => (KAFKA.test(node) ? node : `kafka://${node}`)))
  const bad = nodes.find((one) => !URL.canParse(one))
  if (bad !== undefined) throw new ConfigError(`${quoteUrl(bad)} is no URL like kafka://user:password@host:9092`)
  return {
    url: nodes.map(redactUrl).join(','),
    load: async () => (await import('./kafka/index.ts')).kafka({ url }).create(),
  }
}

/** What follows `file:` is a path against the working directory: `new URL` would make `file:./x` the root's `/x`. */
function readFile(url: string, rest: string): Target {
  const path = rest.startsWith('//') ? rest.slice(2) : rest
  if (path === '')
    throw new ConfigError(`${quoteUrl(url)} names no directory: write file:./.replyto or file:/var/lib/replyto`)
  if (path.includes('\0')) throw new ConfigError(`${quoteUrl(url)} has a NUL in its path`)
  const dir = resolve(path)
  return {
    url: `file:${dir}`,
    load: async () => (await import('./embedded/index.ts')).embedded({ dir }).create(),
  }
}

function readMemory(name: string): Target {
  if (!/^[A-Za-z0-9._-]{0,64}$/.test(name))
    throw new ConfigError(`a memory broker's name has up to 64 letters, digits, '.', '_' or '-'; got ${quoteUrl(name)}`)
  return {
    url: `memory:${name}`,
    load: async () => (await import('./memory/index.ts')).memory({ name }).create(),
  }
}

function isFactory(target: unknown): target is AdapterFactory {
  if (typeof target !== 'object' || target === null) return false
  return (
    '~adapter' in target &&
    'url' in target &&
    typeof target.url === 'string' &&
    'create' in target &&
    typeof target.create === 'function'
  )
}

function quoteUrl(url: string): string {
  return JSON.stringify(redactUrl(url).slice(0, 200))
}
