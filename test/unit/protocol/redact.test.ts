import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { describeValue, redact, redactError, redactUrl, redactValue } from '../../../protocol/redact.ts'

/** Each as it may stand in a URL: raw, escaped, and with what has a meaning there. */
const PASSWORDS = [
  'hunter2secret',
  'hunt%65r2%40secret',
  'hunter2@secret',
  'hunter2:secret',
  'hunter2/secret',
  'hunter2#secret',
  'hunter2?secret',
  'hunter2&secret=x',
  '@hunter2secret',
  'hunter2,secret',
  '[hunter2secret',
]
const SCHEMES = ['amqp', 'amqps', 'redis', 'rediss', 'kafka', 'nats', 'REDIS']

/** Fails for any piece of it. */
function expectNoSecret(text: string): void {
  expect(text).not.toMatch(/hunt|secret/i)
}

describe.each(SCHEMES)('%s', (scheme) => {
  test.each(PASSWORDS)('a URL with the password %s, alone, in a list, in a sentence, in JSON', (password) => {
    const url = `${scheme}://me:${password}@host:5672/vhost?heartbeat=5`
    expect(redactUrl(url)).toBe(`${scheme}://***@host:5672/vhost?heartbeat=5`)
    expect(redact(url)).toBe(`${scheme}://***@host:5672/vhost?heartbeat=5`)
    for (const text of [
      `${url},${url}`,
      `connect to ${url} failed: ECONNREFUSED`,
      `Invalid URL: ${url}`,
      JSON.stringify({ url, nodes: [url, url] }),
      inspect({ url }),
      `${scheme}://:${password}@host`,
    ]) {
      expectNoSecret(redact(text))
      expectNoSecret(redactUrl(text))
    }
  })
})

test.each([
  'amqp://me:hunter2 secret@host',
  'amqp//me:hunter2@host',
  'amqp:/me:hunter2@host',
  'amqp:me:hunter2@host',
  ' amqp://me:hunter2@host',
  'me:hunter2@host',
  'hunter2@host',
  'amqp://me:hunter2',
  'amqp://me:12345hunter2',
  `amqp://me:${'hunter2'.repeat(100)}@host`,
])('a malformed URL: %s', (url) => {
  expect(redactUrl(url)).not.toMatch(/hunt|secret/i)
})

test.each([
  'amqp://host?password=hunter2',
  'kafka://host?sasl.password=hunter2&x=1',
  'redis://host?x=1&TOKEN=hunter2',
  'redis://host?authToken=hunter2',
  'nats://host?key=hunter2',
  'nats://host?api_key=hunter2&pass=secret',
  'client_secret=hunter2',
  '{"password":"hunter2"}',
  '{"password":"hu\\"nter2 secret"}',
  "{ password: 'hunter2 secret', mechanism: 'plain' }",
  "{ sasl_secret: 'hunter2",
  'Authorization: Bearer hunter2secret.abc',
  'Basic aHVudGVyMjpzZWNyZXQ=hunt',
  "secretAccessKey = 'hunter2'",
])('values of secret names: %s', (text) => {
  expect(redact(text)).not.toMatch(/hunter2|nter2|secret[ '.@]/)
  expect(redact(text)).toContain('***')
})

test.each([
  'file:/home/me@corp/.replyto',
  'at run (file:///x/node_modules/@scope/name/index.js:1:2)',
  'at run (/x/node_modules/.store/name@1.2.3/index.js:1:2)',
  'width: expected a number; token: expected a string; key: Required',
  'images.resize (queue replyto.q.default.images.v1, call 0190-x, attempts 2, after 30 ms)',
  'amqp://host:5672/%2f?heartbeat=5',
  'redis://[::1]:6379/0',
  'mail me@example.org',
  'memory:a@b:c',
])('what is none stays: %s', (text) => expect(redact(text)).toBe(text))

test('redacting twice changes nothing more', () => {
  for (const password of PASSWORDS) {
    const once = redact(`amqp://me:${password}@host?password=x`)
    expect(redact(once)).toBe(once)
  }
})

test('time grows with the length of the text, whatever is in it', () => {
  for (const piece of ['a:', 'a@', 'amqp://', 'password', '"password":"', 'a'.repeat(10), '\\', '?key=', '= '])
    expect(redact(`${piece.repeat(200_000 / piece.length)}@`).length).toBeLessThan(500_000)
}, 5_000)

test('options as they are shown: no secret, no instance, bounded', () => {
  const options = {
    brokers: ['kafka://me:hunter2@a:1', 'b:2'],
    sasl: { mechanism: 'plain', username: 'hunter', password: 'hunter2' },
    ssl: { key: 'hunter2', passphrase: 'hunter2', ca: 'public' },
    headers: { authorization: 'Bearer hunter2' },
    log: () => 'hunter2',
    buffer: Buffer.from('hunter2'),
    deep: { a: { b: { c: { password: 'hunter2' } } } },
  }
  expectNoSecret(JSON.stringify(redactValue(options)))
  expectNoSecret(describeValue(options))
  expect(redactValue({ ca: 'public', retries: 3, on: true, none: null })).toEqual({
    ca: 'public',
    retries: 3,
    on: true,
    none: null,
  })
  const cyclic: Record<string, unknown> = {}
  cyclic['self'] = cyclic
  expect(describeValue(cyclic).length).toBeLessThanOrEqual(200)
  expect(describeValue(5n)).toBe('"5"')
  expect(describeValue(NaN)).toBe('NaN')
  expect(describeValue(undefined)).toBe('undefined')
  expect(describeValue('amqp://me:hunt er2@h')).toBe('"amqp://***@h"')
  expect(describeValue(new Proxy({}, { ownKeys: () => expect.unreachable() }))).toContain('cannot be read')
})

test("a library's error as a cause keeps its texts and facts, and loses what may hold a secret", () => {
  const inner = Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: 'amqp://me:hunter2@h' })
  const outer = new Error('connect amqp://me:hunter2@h failed', { cause: inner })
  Object.assign(outer, { command: { name: 'auth', args: ['hunter2'] }, errno: -111 })
  const copy = redactError(outer)
  expectNoSecret(inspect(copy, { depth: 10, showHidden: true }))
  expect(copy).toMatchObject({
    message: 'connect amqp://***@h failed',
    errno: -111,
    cause: { name: 'TypeError', code: 'ERR_INVALID_URL' },
  })
  expectNoSecret(inspect(redactError({ password: 'hunter2' })))
})
