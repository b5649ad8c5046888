import { expect, test } from 'vitest'
import { resolveRabbitmqOptions, type RabbitmqOptions } from '../../../broker-adapters/rabbitmq/options.ts'

const nodeOf = (url: string) => resolveRabbitmqOptions({ url }).nodes[0]
const problemOf = (options: unknown): string => {
  try {
    resolveRabbitmqOptions(options as RabbitmqOptions) // what a program without types may give
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`
  }
  return 'taken'
}

test('a URL alone has the defaults of RabbitMQ', () => {
  const { nodes, ...others } = resolveRabbitmqOptions({ url: 'amqp://localhost' })
  const facts = { hostname: 'localhost', port: 5672, username: 'guest', password: 'guest', vhost: '/' }
  expect(nodes).toEqual([{ url: 'amqp://localhost', protocol: 'amqp', ...facts }])
  expect(others).toEqual({
    tls: {},
    heartbeatMs: 10_000,
    dialTimeoutMs: 10_000,
    replyQueueType: 'classic',
    maxMessageBytes: 16_777_216,
  })
  expect(nodeOf('amqps://localhost')).toMatchObject({ protocol: 'amqps', port: 5671 })
})

test.each([
  ['amqp://h', '/'],
  ['amqp://h/', '/'],
  ['amqp://h/mine', 'mine'],
  ['amqp://h/%2F', '/'],
  ['amqp://h/%2Fmine', '/mine'],
  ['amqp://h/a%20b', 'a b'],
])('%s is the vhost %s', (url, vhost) => {
  expect(nodeOf(url).vhost).toBe(vhost)
})

test('name and password are decoded, and the password is never shown', () => {
  const node = nodeOf('amqp://us%40er:p%2F%3As@[::1]:5673/v')
  expect(node).toMatchObject({ username: 'us@er', password: 'p/:s', hostname: '::1', port: 5673 })
  expect(node.url).not.toContain('p%2F%3As')
  for (const url of ['amqp://u:secret@h/a/b', 'http://u:secret@h', 'amqp://u:secret@h?heartbeat=5'])
    expect(problemOf({ url })).not.toContain('secret')
})

test('of a cluster each node is one', () => {
  const { nodes } = resolveRabbitmqOptions({ url: ['amqp://a', 'amqp://b:1', 'amqps://c'] })
  expect(nodes.map(({ hostname, port }) => [hostname, port])).toEqual([
    ['a', 5672],
    ['b', 1],
    ['c', 5671],
  ])
})

test.each([
  ['no object', undefined, /give an object with 'url'/],
  ['no URL', {}, /'url' must be a URL like amqp:/],
  ['an empty list', { url: [] }, /at least one URL/],
  ['a number in the list', { url: ['amqp://a', 5] }, /must be a string, got 5/],
  ['no URL at all', { url: 'localhost' }, /is no URL like amqp:|must begin with amqp:/],
  ['no host', { url: 'amqp://' }, /is no URL like amqp:/],
  ['another protocol', { url: 'http://h' }, /must begin with amqp:\/\/ or amqps:\/\//],
  ['a query', { url: 'amqp://h?heartbeat=5' }, /give them as options/],
  ['a fragment', { url: 'amqp://h/v#x' }, /give them as options/],
  ['a vhost with a slash', { url: 'amqp://h/a/b' }, /write it as %2F/],
  ['half a %', { url: 'amqp://h/a%' }, /write it as %25/],
  ['an option that is none', { url: 'amqp://h', heartbeat: 5 }, /heartbeat/],
  ['an option of TLS that is none', { url: 'amqp://h', tls: { rejectUnauthorized: false } }, /rejectUnauthorized/],
  ['half seconds', { url: 'amqp://h', heartbeatMs: 1_500 }, /whole seconds.*1500/],
  ['no heartbeat', { url: 'amqp://h', heartbeatMs: 0 }, /from 1000 to 600000, got 0.*10000/],
  ['no time to dial', { url: 'amqp://h', dialTimeoutMs: 1 }, /from 100 to 600000, got 1/],
  ['text as a number', { url: 'amqp://h', dialTimeoutMs: '5' }, /whole number.*"5"/],
  ['too large messages', { url: 'amqp://h', maxMessageBytes: 2 ** 40 }, /from 1024 to 536870912/],
  ['a type of queue that is none', { url: 'amqp://h', replyQueueType: 'stream' }, /"classic" or "quorum".*"stream"/],
])('%s is refused, with advice', (_, options, problem) => {
  expect(problemOf(options)).toMatch(problem)
  expect(problemOf(options)).toMatch(/^ConfigError: /)
})
