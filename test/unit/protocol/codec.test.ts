import { describe, expect, test } from 'vitest'
import { codecFor, codecOf } from '../../../protocol/codec.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { jsonCodec } from '../../../protocol/codec-json.ts'
import { CodecError, MAX_BIGINT_BYTES, MAX_DEPTH } from '../../../protocol/encodable.ts'
import { createRandom, randomValue } from './random-values.ts'

const there = (value: unknown): unknown => cborCodec.decode(cborCodec.encode(value))

function problemOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError)
    return error instanceof Error ? error.message : ''
  }
  throw new Error('nothing was refused')
}

function nested(levels: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 'leaf'
  for (let level = 0; level < levels; level++) value = wrap(value)
  return value
}

const wrappers = [
  ['arrays', (inner: unknown) => [inner]],
  ['objects', (inner: unknown) => ({ inner })],
  ['maps', (inner: unknown) => new Map([['inner', inner]])],
  ['map keys', (inner: unknown) => new Map([[inner, 1]])],
  ['sets', (inner: unknown) => new Set([inner])],
] as const

class Account {
  readonly owner = 'ada'
}

describe('cbor carries', () => {
  test.each([
    ['a date', new Date('2026-01-02T03:04:05.678Z')],
    ['a date before 1970', new Date(-1)],
    ['the last date', new Date(8.64e15)],
    ['an invalid date', new Date(NaN)],
    ['a small BigInt', 5n],
    ['a negative BigInt', -5n],
    ['a BigInt over 64 bits', 2n ** 80n],
    ['a negative BigInt over 64 bits', -(2n ** 80n)],
    ['the longest BigInt', 2n ** BigInt(MAX_BIGINT_BYTES * 8) - 1n],
    [
      'a Map',
      new Map<unknown, unknown>([
        ['a', 1],
        [2, new Date(0)],
        [{ k: 1 }, undefined],
      ]),
    ],
    ['a Set', new Set([1, 'two', new Set([3])])],
    ['bytes', new Uint8Array([0, 255, 7])],
    ['no bytes', new Uint8Array()],
    ['undefined', undefined],
    ['undefined in an array', [1, undefined, 3]],
    ['a property that is undefined', { a: undefined }],
    ['NaN', NaN],
    ['infinities', [Infinity, -Infinity]],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 })],
    ['keys that objects inherit', { constructor: 1, toString: 'x', hasOwnProperty: null, valueOf: [] }],
    ['text beyond ASCII', '€ 漢 😀'],
    ['long text', 'aé'.repeat(50_000)],
  ])('%s', (_, value) => {
    expect(there(value)).toEqual(value)
  })

  test('an object of 70,000 keys', () => {
    const value = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, index]))
    expect(Object.keys(there(value) ?? {})).toHaveLength(70_000)
  })

  test('minus zero as zero', () => {
    expect(Object.is(there(-0), 0)).toBe(true)
  })
})

describe('bytes come out as a Uint8Array that owns them', () => {
  const bytes = Buffer.from('owned')

  /** The text of bytes that nobody else holds; anything else is said. */
  function ownedText(value: unknown): string {
    if (!(value instanceof Uint8Array)) return 'no bytes'
    if (Object.getPrototypeOf(value) !== Uint8Array.prototype) return value.constructor.name
    return value.buffer.byteLength === value.byteLength ? Buffer.from(value).toString() : 'a view of other bytes'
  }

  test('at the top', () => expect(ownedText(there(bytes))).toBe('owned'))
  test('in an array', () => {
    const [[item]] = there([[bytes]]) as [[unknown]]
    expect(ownedText(item)).toBe('owned')
  })
  test('in an object', () => {
    const value = there({ a: { b: bytes } }) as { a: { b: unknown } }
    expect(ownedText(value.a.b)).toBe('owned')
  })
  test('in a Map, as key and as value', () => {
    const [entry] = there(new Map([[bytes, { bytes }]])) as Map<unknown, { bytes: unknown }>
    expect(
      entry?.map((part) => ownedText(part instanceof Uint8Array ? part : Reflect.get(Object(part), 'bytes'))),
    ).toEqual(['owned', 'owned'])
  })
  test('in a Set', () => {
    const [item] = there(new Set([bytes])) as Set<unknown>
    expect(ownedText(item)).toBe('owned')
  })
  test('and do not change with the message', () => {
    const body = cborCodec.encode({ bytes })
    const value = cborCodec.decode(body) as { bytes: unknown }
    body.fill(0)
    expect(ownedText(value.bytes)).toBe('owned')
  })
})

describe('json', () => {
  test.each([
    ['a BigInt', { a: { b: 1n } }, 'the value at a.b is a BigInt, which JSON cannot carry'],
    ['a date', { at: new Date(0) }, 'the value at at is a Date, which JSON cannot carry'],
    [
      'an array item that is undefined',
      { a: [0, undefined] },
      'the value at a[1] is undefined, which JSON cannot carry',
    ],
    ['a Map', [new Map()], 'the value at [0] is a Map, which JSON cannot carry'],
    ['a Set', { s: new Set() }, 'the value at s is a Set, which JSON cannot carry'],
    ['bytes', { b: new Uint8Array(1) }, 'the value at b is a Uint8Array, which JSON cannot carry'],
    ['a Buffer', Buffer.from('x'), 'the value is a Uint8Array, which JSON cannot carry'],
    ['NaN', { list: [{ n: NaN }] }, 'the value at list[0].n is NaN, which JSON cannot carry'],
    ['infinity', -Infinity, 'the value is -Infinity, which JSON cannot carry'],
  ])('refuses %s and names the path', (_, value, message) => {
    expect(problemOf(() => jsonCodec.encode(value))).toBe(`${message}: convert it, or use the encoding 'cbor'`)
  })

  test('undefined as a whole is an empty body', () => {
    expect(jsonCodec.encode(undefined)).toHaveLength(0)
    expect(jsonCodec.decode(new Uint8Array(0))).toBeUndefined()
  })

  test('a property that is undefined is left out', () => {
    expect(jsonCodec.decode(jsonCodec.encode({ a: undefined, b: 1 }))).toStrictEqual({ b: 1 })
  })

  test('carries half a surrogate pair', () => {
    expect(jsonCodec.decode(jsonCodec.encode('\ud800'))).toBe('\ud800')
  })

  test.each([
    ['text that is not JSON', Buffer.from('{a')],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['two values', Buffer.from('1 2')],
    ['a key __proto__', Buffer.from('{"a":[{"__proto__":{"admin":true}}]}')],
    ['65 levels', Buffer.from('['.repeat(65) + ']'.repeat(65))],
    ['a depth bomb', Buffer.from('['.repeat(200_000) + ']'.repeat(200_000))],
  ])('decoding refuses %s', (_, body) => {
    expect(problemOf(() => jsonCodec.decode(body))).not.toBe('')
  })
})

describe.each([
  ['cbor', cborCodec],
  ['json', jsonCodec],
] as const)('%s refuses', (_, codec) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle

  test.each([
    [
      'an instance of a class',
      { a: [new Account()] },
      'the value at a[0] is an instance of Account, which would lose its class',
    ],
    ['a URL', { url: new URL('http://a') }, 'the value at url is an instance of URL'],
    ['an Error', { e: new Error('x') }, 'the value at e is an instance of Error'],
    ['a RegExp', { r: /x/ }, 'the value at r is an instance of RegExp'],
    ['a promise', { p: Promise.resolve() }, 'the value at p is an instance of Promise'],
    ['a Float64Array', { f: new Float64Array(1) }, 'the value at f is an instance of Float64Array'],
    ['an ArrayBuffer', { f: new ArrayBuffer(1) }, 'the value at f is an instance of ArrayBuffer'],
    ['a subclass of Map', { m: new (class Bag extends Map {})() }, 'the value at m is an instance of Bag'],
    ['a subclass of Array', { m: new (class Stack extends Array {})() }, 'the value at m is an instance of Stack'],
    ['a subclass of Date', { m: new (class Day extends Date {})() }, 'the value at m is an instance of Day'],
    ['a function', { f: () => 1 }, 'the value at f is a function, which no message can carry'],
    ['a symbol', [Symbol('x')], 'the value at [0] is a symbol, which no message can carry'],
    ['a cycle', cycle, 'is nested deeper than 64 levels, or contains itself'],
    ['a key __proto__', { a: JSON.parse('{"__proto__":1}') as unknown }, "the value at a has a key '__proto__'"],
    [
      'a getter that throws',
      Object.defineProperty({}, 'bad', {
        enumerable: true,
        get: () => {
          throw new TypeError('no')
        },
      }),
      'the value cannot be read: TypeError: no',
    ],
  ])('%s', (_, value, message) => {
    expect(problemOf(() => codec.encode(value))).toContain(message)
  })

  test('what reads differently the second time', () => {
    let reads = 0
    const value = Object.defineProperty({}, 'shifty', { enumerable: true, get: () => (reads++ === 0 ? 1 : () => 2) })
    try {
      codec.encode(value)
    } catch (error) {
      expect(error).toBeInstanceOf(CodecError)
    }
  })

  test('nothing at random: what is encoded comes back equal', () => {
    const kind = codec === jsonCodec ? 'json' : 'cbor'
    for (let seed = 1; seed <= 1500; seed++) {
      const value = randomValue(createRandom(seed), kind)
      expect(codec.decode(codec.encode(value)), `seed ${seed}`).toEqual(value)
    }
  })
})

describe('cbor refuses', () => {
  test.each([
    ['a path through a Map', new Map([['k', [Symbol('x')]]]), 'the value at {k}[0] is a symbol'],
    ['a key of a Map', new Map([[() => 1, 1]]), 'the value at {a function} is a function'],
    ['a path through a Set', { s: new Set([() => 1]) }, 'the value at s{} is a function'],
    ['half a surrogate pair', { a: 'x\ud800' }, 'the value at a holds half of a surrogate pair'],
    ['half a surrogate pair in a key', { a: { '\udc00': 1 } }, 'the value at a has a key that holds half'],
    [
      'a BigInt that takes long to read',
      [2n ** BigInt(MAX_BIGINT_BYTES * 8)],
      'the value at [0] is a BigInt of more than',
    ],
    ['a negative one', -(2n ** BigInt(MAX_BIGINT_BYTES * 8)), 'the value is a BigInt of more than'],
  ])('%s', (_, value, message) => {
    expect(problemOf(() => cborCodec.encode(value))).toContain(message)
  })

  test('a long path is cut', () => {
    expect(problemOf(() => cborCodec.encode({ ['k'.repeat(10_000)]: () => 1 })).length).toBeLessThan(400)
  })
})

describe('the depth limit is the same on both sides', () => {
  test.each(wrappers)('cbor: %s', (_, wrap) => {
    expect(there(nested(MAX_DEPTH, wrap))).toEqual(nested(MAX_DEPTH, wrap))
    expect(problemOf(() => cborCodec.encode(nested(MAX_DEPTH + 1, wrap)))).toContain('deeper than 64')
  })

  test('json', () => {
    const deepest = nested(MAX_DEPTH, (inner) => [inner])
    expect(jsonCodec.decode(jsonCodec.encode(deepest))).toEqual(deepest)
    expect(problemOf(() => jsonCodec.encode([deepest]))).toContain('deeper than 64')
    expect(problemOf(() => jsonCodec.decode(Buffer.from(JSON.stringify([deepest]))))).toContain('deeper than 64')
  })

  test.each([
    ['a date', new Date(5)],
    ['bytes', new Uint8Array([1])],
    ['a BigInt', 2n ** 70n],
  ])('%s on the last level', (_, leaf) => {
    const deepest = nested(MAX_DEPTH, (inner) => [inner === 'leaf' ? leaf : inner])
    expect(there(deepest)).toEqual(deepest)
  })
})

describe('codecs are found by', () => {
  test('encoding', () => {
    expect(codecOf('cbor')).toBe(cborCodec)
    expect(codecOf('json')).toBe(jsonCodec)
  })
  test.each([
    ['application/cbor', cborCodec],
    ['application/json', jsonCodec],
    ['Application/JSON; charset=utf-8', jsonCodec],
    ['text/plain', undefined],
    ['', undefined],
  ])('content type %j', (contentType, codec) => {
    expect(codecFor(contentType)).toBe(codec)
  })
})
