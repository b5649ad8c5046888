import { Encoder } from 'cbor-x'
import { describe, expect, test } from 'vitest'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { CodecError, MAX_BIGINT_BYTES, MAX_DEPTH } from '../../../protocol/encodable.ts'
import { createRandom, randomValue } from './random-values.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

function refusal(body: Uint8Array): string {
  try {
    cborCodec.decode(body)
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError)
    return error instanceof Error ? error.message : ''
  }
  throw new Error(`${Buffer.from(body).toString('hex').slice(0, 200)} was accepted`)
}

const everything = {
  text: 'é',
  long: 'x'.repeat(300),
  numbers: [0, 24, 256, 70_000, 5e9, -1, -25, -300, 1.5, NaN],
  big: [1n, -1n, 2n ** 70n, -(2n ** 70n)],
  nothing: [null, undefined, true, false],
  date: new Date(1_700_000_000_123),
  map: new Map<unknown, unknown>([[1, { a: new Uint8Array([1, 2, 3]) }]]),
  set: new Set(['a', 'b']),
}

describe('refused', () => {
  test.each([
    ['nothing at all', '', 'ends in the middle'],
    ['an inline record', 'd9 dfff 82 19 e000 81 61 61', 'tag 57343 is not accepted'],
    ['record definitions', 'd9 dffe 82 19 e000 81 61 61', 'tag 57342 is not accepted'],
    ['bundled strings', 'd9 dff9 82 01 61 61', 'tag 57337 is not accepted'],
    ['a record in the old form', 'd8 69 82 00 81 61 61', 'tag 105 is not accepted'],
    ['a RegExp', 'd8 1b 83 66 526567457870 61 61 60', 'tag 27 is not accepted'],
    ['an Error', 'd8 1b 82 65 4572726f72 61 61', 'tag 27 is not accepted'],
    ['a decimal fraction', 'c4 82 21 19 6ab3', 'tag 4 is not accepted'],
    ['a packed table', 'd8 33 84 81 61 61 80 80 e0', 'tag 51 is not accepted'],
    ['a packed reference', 'c6 00', 'tag 6 is not accepted'],
    ['a packed value', 'e0', 'simple value 0 is not accepted'],
    ['a simple value of one byte', 'f8 ff', 'simple value 24 is not accepted'],
    ['a shared reference', '82 d8 1c 81 00 d8 1d 00', 'tag 28 is not accepted'],
    ['a typed array', 'd8 55 44 00000000', 'tag 85 is not accepted'],
    ['bytes with a tag', 'd8 40 41 00', 'tag 64 is not accepted'],
    ['the self-describing tag', 'd9 d9f7 01', 'tag 55799 is not accepted'],
    ['a tag of 8 bytes', 'db ffffffffffffffff 01', 'is not accepted'],
    ['a tag without a number', 'df 01', 'is not accepted'],
    ['a tag without content', 'c1', 'ends in the middle'],
    ['a date from an object', 'c0 a0', 'tag 0 around what it is not made for'],
    ['a date from true', 'c1 f5', 'tag 1 around what it is not made for'],
    ['a date from text as number', 'c1 61 61', 'tag 1 around what it is not made for'],
    ['a tag around a tag', 'c1 c1 00', 'tag 1 around what it is not made for'],
    [
      'a big integer from an object',
      'c2 a1 6a 627974654c656e677468 1a 7fffffff',
      'tag 2 around what it is not made for',
    ],
    ['a Set from text', 'd9 0102 61 61', 'tag 258 around what it is not made for'],
    ['a Map from an array', 'd9 0103 80', 'tag 259 around what it is not made for'],
    ['bytes behind the item', '00 00 00', '2 bytes follow'],
    ['a length of 2^32 - 1 items', '9a ffffffff', 'length is larger than the message'],
    ['a length of 2^64 - 1 items', '9b ffffffffffffffff', 'length is larger than the message'],
    ['a length of 2^64 - 1 entries', 'bb ffffffffffffffff', 'length is larger than the message'],
    ['text longer than the message', '7a 7fffffff 61', 'length is larger than the message'],
    ['bytes longer than the message', '5b ffffffffffffffff 61', 'length is larger than the message'],
    ['text of indefinite length', '7f 61 61 ff', 'indefinite length'],
    ['bytes of indefinite length', '5f 41 61 ff', 'indefinite length'],
    ['a number of indefinite length', '1f', 'number without a length'],
    ['a reserved length', '1c', 'reserved length 28'],
    ['a break outside of a list', 'ff', 'simple value 31 is not accepted'],
    ['a list that is never ended', '9f 01', 'ends in the middle'],
    ['an object that ends behind a key', 'bf 61 61 ff', 'simple value 31 is not accepted'],
    ['text that is not UTF-8', '62 61 ff', 'not UTF-8'],
    ['half a surrogate pair as text', '63 ed a0 80', 'not UTF-8'],
    ['a key that is not UTF-8', 'a1 61 ff 00', 'not UTF-8'],
    ['a key __proto__', 'a1 69 5f5f70726f746f5f5f a0', "key '__proto__'"],
    ['a key __proto__ with a long head', 'a1 7b 0000000000000009 5f5f70726f746f5f5f a0', "key '__proto__'"],
    ['a key __proto__ in a list without length', 'bf 69 5f5f70726f746f5f5f a0 ff', "key '__proto__'"],
    ['an object as key', 'a1 a0 00', 'not readable as CBOR'],
  ])('%s', (_, body, message) => {
    expect(refusal(hex(body))).toContain(message)
  })

  test('a message cut anywhere', () => {
    const body = cborCodec.encode(everything)
    for (let length = 0; length < body.length; length++) expect(refusal(body.slice(0, length))).not.toBe('')
    expect(cborCodec.decode(body)).toEqual(everything)
  })

  test.each([
    ['arrays', Buffer.alloc(500_000, 0x81)],
    ['arrays without length', Buffer.alloc(500_000, 0x9f)],
    ['objects', Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from('a16161', 'hex')))],
    ['Sets', Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from('d9010281', 'hex')))],
    ['dates', Buffer.alloc(500_000, 0xc1)],
  ])('a depth bomb of %s', (_, body) => {
    expect(refusal(body)).toMatch(/deeper than 64|around what/)
  })

  test('one level more than the encoder writes', () => {
    expect(cborCodec.decode(Buffer.concat([Buffer.alloc(MAX_DEPTH, 0x81), hex('00')]))).toBeDefined()
    expect(refusal(Buffer.concat([Buffer.alloc(MAX_DEPTH + 1, 0x81), hex('00')]))).toContain('deeper than 64')
  })

  test('a big integer that would take minutes', () => {
    const longest = Buffer.concat([hex('c2 59 0400'), Buffer.alloc(MAX_BIGINT_BYTES, 0xff)])
    expect(cborCodec.decode(longest)).toBe(2n ** BigInt(MAX_BIGINT_BYTES * 8) - 1n)
    const longer = Buffer.concat([hex('c3 59 0401'), Buffer.alloc(MAX_BIGINT_BYTES + 1, 0xff)])
    expect(refusal(longer)).toContain('big integer of more than 1024 bytes')
    const hostile = Buffer.concat([hex('c2 5a 000f4240'), Buffer.alloc(1_000_000, 0xff)])
    expect(refusal(hostile)).toContain('big integer of more than 1024 bytes')
  })
})

describe('accepted from other programs', () => {
  test.each([
    ['a date as text', 'c0 74 323032362d30312d30325430333a30343a30355a', new Date('2026-01-02T03:04:05Z')],
    ['a date as a float', 'c1 fb 41d9 5f75 3fe0 0000', new Date('2023-12-16T16:49:03.500Z')],
    ['a list without length', '9f 01 02 ff', [1, 2]],
    ['an object without length', 'bf 61 61 01 ff', { a: 1 }],
    ['a float of 16 bits', 'f9 3e00', 1.5],
    ['heads longer than needed', '9b 0000000000000001 19 0007', [7]],
    ['numbers as keys', 'a1 07 01', { 7: 1 }],
    ['__proto__ as text', '69 5f5f70726f746f5f5f', '__proto__'],
    ['__proto__ as key of a Map', 'd9 0103 a1 69 5f5f70726f746f5f5f 01', new Map([['__proto__', 1]])],
  ])('%s', (_, body, value) => {
    expect(cborCodec.decode(hex(body))).toEqual(value)
  })
})

describe('hostile bytes either decode or are a CodecError', () => {
  const wrongAnswers = (bodies: Iterable<Uint8Array>): string[] =>
    Array.from(bodies, (body) => wrongAnswer(body)).filter((answer) => answer !== undefined)

  test('valid messages with some bytes changed', () => {
    const sources = [
      cborCodec.encode(everything),
      ...Array.from({ length: 40 }, (_, index) => cborCodec.encode(randomValue(createRandom(index + 1), 'cbor'))),
      new Encoder({ useRecords: true, structuredClone: true }).encode([{ a: 1 }, { a: 2 }, /x/, new Error('x')]),
    ]
    const bodies = Array.from({ length: 6000 }, (_, seed) => {
      const random = createRandom(seed)
      const body = Uint8Array.from(sources[random.below(sources.length)] ?? [])
      for (let changes = 1 + random.below(4); changes > 0; changes--)
        body[random.below(body.length)] = random.below(256)
      return body
    })
    expect(wrongAnswers(bodies)).toEqual([])
  })

  test('noise', () => {
    const bodies = Array.from({ length: 4000 }, (_, seed) => {
      const random = createRandom(seed)
      return Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256))
    })
    expect(wrongAnswers(bodies)).toEqual([])
  })

  test('and leave the decoder as it was', () => {
    expect(cborCodec.decode(cborCodec.encode(everything))).toEqual(everything)
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })
})

/** Undefined: it was refused in the right way, or it was decoded and could be passed on. */
function wrongAnswer(body: Uint8Array): string | undefined {
  try {
    cborCodec.encode(cborCodec.decode(body))
    return undefined
  } catch (error) {
    return error instanceof CodecError && !error.message.startsWith('the value')
      ? undefined
      : `${Buffer.from(body).toString('hex')}: ${String(error)}`
  }
}
