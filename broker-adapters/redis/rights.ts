import { BrokerError } from '../../protocol/errors.ts'
import type { Session } from './dial.ts'
import { causeOf, shortOf } from './failures.ts'
import { channelOf, workQueue } from './keys.ts'

/**
 * Every command that the adapter and the scripts of BullMQ give, on keys that are nobody's. `@` begins a key, `#` is a channel.
 * docs/redis.md has the same list, and a test compares.
 */
const TRIES = [
  'SET @text 1 PX 1000',
  ...['GET', 'INCR', 'EXISTS', 'TYPE', 'PTTL', 'PERSIST'].map((name) => `${name} @text`),
  'PEXPIRE @text 1000',
  ...['HSET', 'HMSET', 'HSETNX', 'HINCRBY'].map((name) => `${name} @hash field 1`),
  ...['HGET', 'HMGET', 'HEXISTS', 'HDEL'].map((name) => `${name} @hash field`),
  ...['HGETALL', 'HLEN'].map((name) => `${name} @hash`),
  'HSCAN @hash 0',
  ...['LPUSH', 'RPUSH', 'LPOS'].map((name) => `${name} @list element`),
  'RPOPLPUSH @list @list',
  ...['LRANGE', 'LTRIM'].map((name) => `${name} @list 0 -1`),
  'LREM @list 1 element',
  ...['LLEN', 'LPOP', 'RPOP'].map((name) => `${name} @list`),
  ...['SADD', 'SREM'].map((name) => `${name} @set member`),
  ...['SCARD', 'SMEMBERS'].map((name) => `${name} @set`),
  'XADD @stream NOMKSTREAM * field value',
  'XREAD STREAMS @stream 0',
  'XRANGE @stream - +',
  'XTRIM @stream MAXLEN 0',
  'XDEL @stream 1-1',
  'ZADD @sorted 1 member',
  ...['ZSCORE', 'ZREM'].map((name) => `${name} @sorted member`),
  ...['ZRANGE', 'ZREVRANGE', 'ZREMRANGEBYRANK'].map((name) => `${name} @sorted 0 -1`),
  ...['ZCOUNT', 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE', 'ZREMRANGEBYSCORE'].map((name) => `${name} @sorted 0 1`),
  ...['ZCARD', 'ZPOPMIN'].map((name) => `${name} @sorted`),
  'PUBLISH # nothing',
  'DEL @text @hash @list @set @stream @sorted',
] as const

/** No service has an empty major. */
const PROBE = {
  group: 'probe',
  service: 'probe',
  major: '',
  features: { keyed: false, priority: false, frames: false },
}

/** Names of commands that a user needs besides these, as they are given outside of scripts. */
const OUTSIDE = [
  'AUTH',
  'BZPOPMIN',
  'CLIENT',
  'EVAL',
  'EVALSHA',
  'EXEC',
  'INFO',
  'MULTI',
  'PING',
  'SCRIPT',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
]

/** What the user of a server needs, in the order of the alphabet. */
export const NEEDED_COMMANDS: readonly string[] = [
  ...new Set([...OUTSIDE, ...TRIES.map((line) => line.split(' ', 1)[0] ?? '')]),
].toSorted()

/**
 * Rejects with what the server says of the first right that is missing. Without it some of them would be missed only within loops
 * that nobody waits for, and a worker would stand there and take nothing.
 */
export async function checkRights(
  { commands, subscriber, scripts }: Session,
  namespace: string,
  url: string,
): Promise<void> {
  const probe = workQueue(namespace, PROBE)
  const channel = channelOf(namespace, 'probe')
  const [denied] = await Promise.all([
    scripts.run('rights', probe.key(''), channel, ...TRIES),
    // Within a transaction it does not block.
    commands.multi().bzpopmin(probe.key('sorted'), 1).exec().catch(throwCause),
    // The library gives the one or the other, by what the server knows already.
    commands.eval('return 1', 0),
    commands.evalsha(NO_SCRIPT, 0).catch(ignoreMissing),
    commands.script('EXISTS', NO_SCRIPT),
    commands.exists(`${namespace}.reply.probe`),
    commands.exists(`${namespace}.kept.probe`),
    subscriber.subscribe(channel).then(() => subscriber.unsubscribe(channel)),
  ])
  if (typeof denied !== 'string') return
  throw new BrokerError(
    'BROKER_REFUSED',
    `${url}: the user has no right to '${denied.toLowerCase()}'; grant it with ACL SETUSER, docs/redis.md lists what is needed`,
  )
}

const NO_SCRIPT = '0'.repeat(40)

function ignoreMissing(error: unknown): void {
  if (!/NOSCRIPT/.test(shortOf(error))) throw error
}

function throwCause(error: unknown): never {
  throw causeOf(error)
}
