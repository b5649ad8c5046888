import { encode } from 'cbor-x'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineService, method, type } from '../../../contract/index.ts'
import type { Message } from '../../../protocol/message.ts'
import { until, type Sent } from './support/caller.ts'
import { runWorker } from './support/run-worker.ts'

const service = defineService('s', {
  methods: {
    echo: method({ input: type<unknown>(), output: type<unknown>() }),
    headers: method({ output: type<unknown>() }),
    strict: method({ input: z.object({ n: z.number() }) }),
    note: method({ input: type<unknown>(), oneWay: true }),
  },
})
const start = () =>
  runWorker(service, {
    echo: (input) => input,
    headers: (_, ctx) => ({
      seen: Object.entries(ctx.headers),
      shadowed: [ctx.headers['constructor'], ctx.headers['toString'], Object.getPrototypeOf(ctx.headers) as unknown],
    }),
    strict: () => {},
    note: () => {},
  })
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const repeat = (times: number, ...values: number[]): number[] => Array.from({ length: times }, () => values).flat()
const text = (json: string): Uint8Array => new TextEncoder().encode(json)
const nested = (levels: number): Uint8Array => Uint8Array.from([...repeat(levels, 0x81), 0x01])
const body = (value: Uint8Array, contentType = 'application/cbor'): Sent => ({ message: { body: value, contentType } })
const json = (value: string): Sent => body(text(value), 'application/json')
const headers = (more: Record<string, unknown>): Sent => ({ headers: more as Record<string, string> }) // a stranger's
const message = (more: object): Sent => ({ message: more })
const LONG = 'x'.repeat(100_000)

/** By the name of the bound in docs/protocol.md: what is sent, and the code of the answer; '' where it is run. */
const CASES: Readonly<Record<string, readonly (readonly [string, Sent, string])[]>> = {
  nesting: [
    ['64 levels', body(nested(64)), ''],
    ['65 levels', body(nested(65)), 'INVALID_MESSAGE'],
    ['1900 levels', body(nested(1_900)), 'INVALID_MESSAGE'],
    ['65 levels of maps', body(bytes(...repeat(65, 0xa1, 0x61, 0x61), 1)), 'INVALID_MESSAGE'],
    ['1000 levels of JSON', json('['.repeat(1_000) + ']'.repeat(1_000)), 'INVALID_MESSAGE'],
    ['unclosed JSON', json('['.repeat(1_000)), 'INVALID_MESSAGE'],
  ],
  lengths: [
    ['a byte string of 2^64', body(bytes(0x5b, 255, 255, 255, 255, 255, 255, 255, 255)), 'INVALID_MESSAGE'],
    ['a text one longer than the body', body(bytes(0x62, 0x61)), 'INVALID_MESSAGE'],
    ['an array of 2^32', body(bytes(0x9a, 255, 255, 255, 255)), 'INVALID_MESSAGE'],
    ['a map of 2^64', body(bytes(0xbb, 255, 255, 255, 255, 255, 255, 255, 255)), 'INVALID_MESSAGE'],
    ['an array without an end', body(bytes(0x9f, 1, 1)), 'INVALID_MESSAGE'],
    ['a map without an end', body(bytes(0xbf, 0x61, 0x61)), 'INVALID_MESSAGE'],
    ['bytes behind the value', body(bytes(1, 1)), 'INVALID_MESSAGE'],
    ['nothing', body(bytes()), 'INVALID_MESSAGE'],
    ['a text of indefinite length', body(bytes(0x7f, 0x61, 0x61, 0xff)), 'INVALID_MESSAGE'],
    ['a reserved length', body(bytes(0x1c)), 'INVALID_MESSAGE'],
    ['text that is not UTF-8', body(bytes(0x62, 0xc3, 0x28)), 'INVALID_MESSAGE'],
    ['JSON that is not UTF-8', body(bytes(0x22, 0xc3, 0x28, 0x22), 'application/json'), 'INVALID_MESSAGE'],
  ],
  tags: [
    ['a record', body(bytes(0xd9, 0xdf, 0xff, 0x83, 0x19, 0xe0, 0x00, 0x81, 0x61, 0x61, 0x01)), 'INVALID_MESSAGE'],
    ['a RegExp', body(encode(/a/)), 'INVALID_MESSAGE'],
    ['an Error', body(encode(new Error('x'))), 'INVALID_MESSAGE'],
    ['a typed array', body(bytes(0xd8, 0x45, 0x42, 0, 0)), 'INVALID_MESSAGE'],
    ['a shared reference', body(bytes(0xd8, 0x1d, 0x00)), 'INVALID_MESSAGE'],
    ['a date around a text', body(bytes(0xc1, 0x61, 0x61)), 'INVALID_MESSAGE'],
    ['an unknown one', body(bytes(0xd9, 0x99, 0x99, 0x01)), 'INVALID_MESSAGE'],
    ['a hundred of them', body(bytes(...repeat(100, 0xc1), 0x01)), 'INVALID_MESSAGE'],
  ],
  'big integers': [
    ['1024 bytes', body(bytes(0xc2, 0x59, 0x04, 0x00, ...repeat(1_024, 255))), ''],
    ['1025 bytes', body(bytes(0xc2, 0x59, 0x04, 0x01, ...repeat(1_025, 255))), 'INVALID_MESSAGE'],
  ],
  keys: [
    ['__proto__ in CBOR', body(bytes(0xa1, 0x69, ...text('__proto__'), 0xa0)), 'INVALID_MESSAGE'],
    ['__proto__ in JSON', json('{"__proto__":{"admin":true}}'), 'INVALID_MESSAGE'],
    ['__proto__ escaped in JSON', json('{"a":{"__pro\\u0074o__":1}}'), 'INVALID_MESSAGE'],
    ['constructor', json('{"constructor":{"prototype":{"polluted":1}}}'), ''],
    ['two that are equal', body(bytes(0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2)), ''],
    ['900 keys', json(`{${Array.from({ length: 200 }, (_, n) => `"${n}":1`).join(',')}}`), ''],
  ],
  payload: [
    ['as large as maxPayloadBytes', json(`"${'x'.repeat(1_900)}"`), ''],
    ['larger', json(`"${'x'.repeat(1_999)}"`), 'PAYLOAD_TOO_LARGE'],
    ['much larger, and hostile', body(new Uint8Array(5_000_000).fill(0x81)), 'PAYLOAD_TOO_LARGE'],
  ],
  type: [
    ['stream, to a method that is called', message({ type: 'stream' }), 'UNKNOWN_METHOD'],
    ['none', message({ type: undefined }), 'INVALID_MESSAGE'],
    ['a number', message({ type: 5 }), 'INVALID_MESSAGE'],
    ['a long one', message({ type: LONG }), 'INVALID_MESSAGE'],
  ],
  'wire version': [
    ['0', headers({ 'rt-v': '0' }), 'INVALID_MESSAGE'],
    ['2', { ...headers({ 'rt-v': '2' }), timeoutMs: 500 }, 'INVALID_MESSAGE'], // until then it is left to newer workers
    ['1.0', headers({ 'rt-v': '1.0' }), 'INVALID_MESSAGE'],
    ['nothing', headers({ 'rt-v': '' }), 'INVALID_MESSAGE'],
    ['a number', headers({ 'rt-v': 1 }), 'INVALID_MESSAGE'],
  ],
  'content type': [
    ['of another program', message({ contentType: 'application/x-java-serialized-object' }), 'INVALID_MESSAGE'],
    ['none', message({ contentType: '' }), 'INVALID_MESSAGE'],
    ['undefined', message({ contentType: undefined }), 'INVALID_MESSAGE'],
    ['__proto__', message({ contentType: '__proto__' }), 'INVALID_MESSAGE'],
    ['a long one', message({ contentType: LONG }), 'INVALID_MESSAGE'],
  ],
  'content encoding': [
    ['gzip', message({ contentEncoding: 'gzip' }), 'INVALID_MESSAGE'],
    ['a number', message({ contentEncoding: 5 }), 'INVALID_MESSAGE'],
    ['an empty one', message({ contentEncoding: '' }), ''],
  ],
  method: [
    ['__proto__', headers({ 'rt-method': '__proto__' }), 'UNKNOWN_METHOD'],
    ['constructor', headers({ 'rt-method': 'constructor' }), 'UNKNOWN_METHOD'],
    ['a long one', headers({ 'rt-method': LONG }), 'UNKNOWN_METHOD'],
    ['with line breaks', headers({ 'rt-method': 'a\r\nb' }), 'UNKNOWN_METHOD'],
    ['a number', headers({ 'rt-method': 5 }), 'UNKNOWN_METHOD'],
    ['one that takes sends', headers({ 'rt-method': 'note' }), 'UNKNOWN_METHOD'],
  ],
  'whole numbers': [
    'NaN',
    '-1',
    '1e308',
    '1.5',
    'Infinity',
    '0x10',
    '',
    ' 1',
    '9'.repeat(16),
    LONG,
    null,
    {},
    [1],
  ].flatMap((value) =>
    ['rt-deadline', 'rt-sent', 'rt-attempt', 'rt-depth', 'rt-given', 'rt-solo'].map(
      (name) => [`${name} = ${JSON.stringify(value).slice(0, 20)}`, headers({ [name]: value }), ''] as const,
    ),
  ),
  deadline: [
    ['long ago', headers({ 'rt-deadline': '0' }), 'EXPIRED'],
    ['in 30,000 years', headers({ 'rt-deadline': '999999999999999' }), ''],
    ['of another clock, long ago', headers({ 'rt-deadline': '1', 'rt-host': LONG }), 'EXPIRED'],
  ],
  attempt: [
    ['0', headers({ 'rt-attempt': '0' }), ''],
    ['999999999999999', headers({ 'rt-attempt': '999999999999999' }), ''],
  ],
  depth: [
    ['32', headers({ 'rt-depth': '32' }), ''],
    ['33', headers({ 'rt-depth': '33' }), 'OVERLOADED'],
    ['999999999999999', headers({ 'rt-depth': '999999999999999' }), 'OVERLOADED'],
  ],
  history: [['100 kB', headers({ 'rt-history': LONG, 'rt-caller': LONG, 'rt-version': LONG, traceparent: LONG }), '']],
}

describe.each(Object.entries(CASES))('bound: %s', (_bound, cases) => {
  test('of a request', async () => {
    await using run = await start()
    for (const [what, sent, code] of cases) {
      const { reply, error } = await run.caller.call('echo', sent)
      expect([what, reply.type === 'result' ? '' : error.code]).toEqual([what, code])
      expect(JSON.stringify(error).length).toBeLessThan(5_000)
      expect(reply.headers['rt-attempt']).toMatch(/^\d{1,15}$/)
    }
    expect(await run.caller.call('echo', { input: 'still there' })).toMatchObject({ value: 'still there' })
    expect(run.log.filter(({ code }) => code === 'WORKER_BUG')).toEqual([])
    expect(
      (
        await run.caller.adapter.stats({
          group: 'default',
          service: 's',
          major: 'v1',
          features: { keyed: false, priority: false, frames: false },
        })
      ).ready,
    ).toBe(0)
  })
})

test.each(['', '1'.repeat(20), 'x'.repeat(65), 'a\nb', 'a b', 'ü', '../x', 5, null, undefined, {}])(
  'bound: id: %j is a dead letter without an answer',
  async (id) => {
    await using run = await start()
    await run.caller.publish('echo', { message: { id: id as string } })
    await until(async () => (await run.caller.deadLetters()).length === 1, 'it is a dead letter')
    expect((await run.caller.deadLetters())[0]).toMatchObject({ code: 'INVALID_MESSAGE' })
    expect(run.worker.counters).toMatchObject({ invalidMessages: 1, deadLettered: 1 })
    expect(await run.caller.call('echo', { input: 1 })).toMatchObject({ value: 1 })
  },
)

test.each<[string, object]>([
  ['no headers', { headers: null }],
  ['headers that are a text', { headers: 'rt-method' }],
])('an envelope that no adapter may make (%s) is settled all the same', async (_what, more) => {
  await using run = await start()
  await run.caller.adapter.publish(
    { group: 'default', service: 's', major: 'v1', features: { keyed: false, priority: false, frames: false } },
    [
      {
        id: 'stranger',
        type: 'send',
        replyTo: undefined,
        contentType: 'application/cbor',
        contentEncoding: undefined,
        headers: { 'rt-method': 'note' },
        body: bytes(1),
        ...(more as Partial<Message>), // what the type forbids
      },
    ],
  )
  await until(async () => (await run.caller.deadLetters()).length === 1, 'it is a dead letter')
  expect(await run.caller.call('echo', { input: 1 })).toMatchObject({ value: 1 })
})

test('bound: headers of users are data: nothing in them shadows or replaces', async () => {
  await using run = await start()
  const sent = { 'x-a': '1', constructor: 'mine', 'RT-Attempt': '9', number: 5, nothing: null, object: { a: 1 } }
  const { value } = await run.caller.call('headers', headers({ ...sent, ['__proto__']: 'x' }))
  expect(value).toEqual({
    seen: [
      ['x-a', '1'],
      ['constructor', 'mine'],
      ['__proto__', 'x'],
    ],
    shadowed: ['mine', undefined, null],
  })
})
