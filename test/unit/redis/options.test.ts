import { expect, test } from 'vitest'
import { redis } from '../../../broker-adapters/redis/index.ts'
import { resolveRedisOptions, type RedisOptions } from '../../../broker-adapters/redis/options.ts'

const problemOf = (options: unknown): string => {
  try {
    resolveRedisOptions(options as RedisOptions) // what a program without types may give
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`
  }
  return 'taken'
}

test('a URL alone has the defaults', () => {
  const { nodes, ...others } = resolveRedisOptions({ url: 'redis://localhost' })
  expect(nodes).toEqual([{ url: 'redis://localhost', shown: 'redis://localhost', username: undefined }])
  expect(others).toEqual({
    isCluster: false,
    ioredis: {},
    lockMs: 10_000,
    stalledCheckMs: 2_500,
    dialTimeoutMs: 10_000,
    maxMessageBytes: 16_777_216,
  })
})

test.each(['redis://h', 'redis://h/', 'redis://h:1/0', 'rediss://u:p@h:6380/12', 'redis://[::1]:6379', 'REDIS://h'])(
  '%s is taken',
  (url) => {
    expect(problemOf({ url })).toBe('taken')
  },
)

test('the library gets the password, and nobody is shown it', () => {
  const url = 'redis://ann:p%2F%3As@h:6379/3'
  const [node] = resolveRedisOptions({ url }).nodes
  expect(node).toEqual({ url, shown: 'redis://***@h:6379/3', username: 'ann' })
  expect(redis({ url }).url).not.toContain('p%2F')
  const bad = [
    'redis://u:secret@h/x',
    'http://u:secret@h',
    'redis://u:secret@h?db=1',
    'redis://u:secret@h#x',
    'u:secret@h',
  ]
  for (const one of bad) expect(problemOf({ url: one })).toMatch(/^ConfigError: (?!.*secret)/)
})

test('several nodes are shown one after the other', () => {
  const { nodes, isCluster } = resolveRedisOptions({ url: ['redis://a', 'rediss://b:1'], cluster: true })
  expect(nodes.map(({ shown }) => shown)).toEqual(['redis://a', 'rediss://b:1'])
  expect(isCluster).toBe(true)
  expect(redis({ url: ['redis://a', 'redis://u:p@b'] }).url).toBe('redis://a,redis://***@b')
})

test.each([
  ['no object', undefined, /give an object with 'url'/],
  ['no URL', {}, /'url' must be a URL like redis:/],
  ['an empty list', { url: [] }, /at least one URL/],
  ['a number in the list', { url: ['redis://a', 5] }, /must be a string, got 5/],
  ['no URL at all', { url: 'localhost' }, /is no URL like redis:/],
  ['no host', { url: 'redis://' }, /is no URL like redis:/],
  ['another protocol', { url: 'http://h' }, /must begin with redis:\/\/ or rediss:\/\//],
  ['a query', { url: 'redis://h?family=6' }, /redis\(\{ url, ioredis/],
  ['a fragment', { url: 'redis://h/1#x' }, /redis\(\{ url, ioredis/],
  ['a database with a name', { url: 'redis://h/orders' }, /number of a database/],
  ['two databases', { url: 'redis://h/1/2' }, /number of a database/],
  ['an option that is none', { url: 'redis://h', lockDuration: 5 }, /lockDuration/],
  ['a cluster that is text', { url: 'redis://h', cluster: 'yes' }, /'cluster' must be true or false, got "yes"/],
  ['options of the library that are none', { url: 'redis://h', ioredis: null }, /'ioredis' must be an object/],
  ['a key prefix, which scripts do not get', { url: 'redis://h', ioredis: { keyPrefix: 'a' } }, /not have 'keyPrefix'/],
  ['an offline queue', { url: 'redis://h', ioredis: { enableOfflineQueue: true } }, /not have 'enableOfflineQueue'/],
  ['a short lock', { url: 'redis://h', lockMs: 499 }, /from 500 to 600000, got 499.*leave it out for 10000/],
  ['half a millisecond', { url: 'redis://h', stalledCheckMs: 100.5 }, /whole number.*100\.5/],
  ['text as a number', { url: 'redis://h', dialTimeoutMs: '5' }, /whole number.*"5"/],
  ['too large messages', { url: 'redis://h', maxMessageBytes: 2 ** 40 }, /from 1024 to 268435456/],
])('%s is refused, with advice', (_, options, problem) => {
  expect(problemOf(options)).toMatch(problem)
  expect(problemOf(options)).toMatch(/^ConfigError: /)
})
