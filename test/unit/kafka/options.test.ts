import { expect, test } from 'vitest'
import { kafka } from '../../../broker-adapters/kafka/index.ts'
import { resolveKafkaOptions, splitNodes, type KafkaOptions } from '../../../broker-adapters/kafka/options.ts'

const problemOf = (options: unknown): string => {
  try {
    resolveKafkaOptions(options as KafkaOptions) // what a program without types may give
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`
  }
  return 'taken'
}

test('a URL alone has the defaults', () => {
  expect(resolveKafkaOptions({ url: 'kafka://localhost' })).toEqual({
    nodes: ['localhost:9092'],
    url: 'kafka://localhost:9092',
    ssl: undefined,
    sasl: undefined,
    partitions: 24,
    replicationFactor: -1,
    replyPartitions: 16,
    sessionMs: 10_000,
    retentionMs: 604_800_000,
    maxKeepMs: 604_800_000,
    dialTimeoutMs: 10_000,
    requestTimeoutMs: 10_000,
    maxMessageBytes: 1_040_000,
  })
})

test.each([
  'kafka://h',
  'kafka://h/',
  'kafka://h:1',
  'kafka://u:p@h:1',
  'KAFKA://h',
  'kafka://[::1]:9092',
  'kafka://a:1,b:2,kafka://c',
])('%s is taken', (url) => {
  expect(problemOf({ url })).toBe('taken')
})

test('several nodes may be one URL or an array', () => {
  const nodes = ['a:1', 'b:9092', 'c:3']
  for (const url of [
    'kafka://a:1,b,c:3',
    ['kafka://a:1', 'kafka://b,c:3'],
    ['kafka://u:p@a:1', 'kafka://b', 'kafka://c:3'],
  ])
    expect(resolveKafkaOptions({ url }).nodes).toEqual(nodes)
  expect(splitNodes('kafka://u:p@a:1,b:2')).toEqual(['kafka://u:p@a:1', 'kafka://b:2'])
})

test('the library gets name and password, and nobody is shown them', () => {
  const resolved = resolveKafkaOptions({ url: 'kafka://ann:p%2F%3As@h:1,h:2' })
  expect(resolved.sasl).toEqual({ mechanism: 'plain', username: 'ann', password: 'p/:s' })
  expect(resolved.url).toBe('kafka://h:1,h:2')
  expect(kafka({ url: 'kafka://ann:secret@h:1' }).url).toBe('kafka://h:1')
  const bad = [
    'kafka://u:secret@h/x',
    'http://u:secret@h',
    'kafka://u:secret@h?acks=1',
    'kafka://u:secret@h#x',
    'u:secret@h',
  ]
  for (const url of bad) expect(problemOf({ url })).toMatch(/^ConfigError: (?!.*secret)/)
})

test('a login may be in the URL, beside it, or half here and half there', () => {
  const plain = { mechanism: 'plain', username: 'ann', password: 's' }
  const saslOf = (options: KafkaOptions): unknown => resolveKafkaOptions(options).sasl
  expect(saslOf({ url: 'kafka://ann:s@h' })).toEqual(plain)
  expect(saslOf({ url: 'kafka://h', sasl: { username: 'ann', password: 's' } })).toEqual(plain)
  const scram = { ...plain, mechanism: 'scram-sha-512' }
  expect(saslOf({ url: 'kafka://ann:s@h', sasl: { mechanism: 'scram-sha-512' } })).toEqual(scram)
  expect(saslOf({ url: 'kafka://bob:t@h', sasl: { username: 'ann', password: 's' } })).toEqual(plain)
})

test('TLS is off, on, or as the options of Node say', () => {
  const sslOf = (ssl: KafkaOptions['ssl']): unknown => resolveKafkaOptions({ url: 'kafka://h', ssl }).ssl
  expect([sslOf(undefined), sslOf(false), sslOf(true)]).toEqual([undefined, undefined, {}])
  expect(sslOf({ ca: 'x', servername: 'y' })).toEqual({ ca: 'x', servername: 'y' })
})

test.each([
  ['no object', undefined, /give an object with 'url'/],
  ['no URL', {}, /a URL like kafka:\/\/host:9092/],
  ['an empty list', { url: [] }, /at least one URL/],
  ['a number in the list', { url: ['kafka://a', 5] }, /must be a string, got 5/],
  ['no URL at all', { url: 'localhost' }, /is no URL like kafka:/],
  ['no host', { url: 'kafka://' }, /is no URL like kafka:/],
  ['an empty node', { url: 'kafka://a,,b' }, /is no URL like kafka:/],
  ['another protocol', { url: 'http://h' }, /must begin with kafka:\/\//],
  ['a node of another protocol', { url: 'kafka://a,amqp://b' }, /must begin with kafka:\/\//],
  ['a path', { url: 'kafka://h/topic' }, /kafka\(\{ url, … \}\)/],
  ['a query', { url: 'kafka://h?partitions=5' }, /kafka\(\{ url, … \}\)/],
  ['an option that is none', { url: 'kafka://h', groupId: 'g' }, /groupId/],
  [
    'a mechanism that is none',
    { url: 'kafka://u:p@h', sasl: { mechanism: 'gssapi' } },
    /'sasl\.mechanism'.*scram-sha-256.*"gssapi"/,
  ],
  ['a login that is text', { url: 'kafka://h', sasl: 'ann' }, /'sasl' must be an object/],
  ['a name without a password', { url: 'kafka://h', sasl: { username: 'ann' } }, /username and a password/],
  ['a mechanism alone', { url: 'kafka://h', sasl: { mechanism: 'plain' } }, /username and a password/],
  ['TLS that is text', { url: 'kafka://h', ssl: 'yes' }, /'ssl' must be true or an object/],
  ['no partitions', { url: 'kafka://h', partitions: 0 }, /'partitions'.*from 1 to 10000, got 0.*leave it out for 24/],
  ['a short session', { url: 'kafka://h', sessionMs: 999 }, /from 1000 to 1800000, got 999/],
  ['half a copy', { url: 'kafka://h', replicationFactor: 1.5 }, /whole number.*1\.5/],
  ['text as a number', { url: 'kafka://h', dialTimeoutMs: '5' }, /whole number.*"5"/],
  ['too large messages', { url: 'kafka://h', maxMessageBytes: 2 ** 40 }, /from 1024 to 268435456/],
])('%s is refused, with advice', (_, options, problem) => {
  expect(problemOf(options)).toMatch(problem)
  expect(problemOf(options)).toMatch(/^ConfigError: /)
})

test('no copies at all is no factor of replication', () => {
  expect(problemOf({ url: 'kafka://h', replicationFactor: 0 })).toMatch(/^ConfigError: .*replicationFactor/)
})
