import { describe, expect, test } from 'vitest'
import { attemptOf, integerHeader, MAX_USER_HEADER_BYTES, userHeadersProblem } from '../../../protocol/headers.ts'

describe("users' headers", () => {
  test.each([
    ['nothing', {}],
    ['a trace', { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }],
    ['text beyond ASCII as value', { city: 'Köln 😀' }],
    ['an empty value', { empty: '' }],
    ['a name of 128 characters', { ['n'.repeat(128)]: 'x' }],
    ['a name that only begins like ours', { rtx: 'x' }],
    ['as much as is allowed', { big: 'x'.repeat(MAX_USER_HEADER_BYTES - 3) }],
  ])('may be %s', (_, headers) => {
    expect(userHeadersProblem(Object.entries(headers))).toBeUndefined()
  })

  test.each([
    ["a name of the library's", { 'rt-deadline': '1' }, "has the header rt-deadline, but names that begin with 'rt-'"],
    ['the same in capitals', { 'RT-Deadline': '1' }, "has the header RT-Deadline, but names that begin with 'rt-'"],
    ['a line break in a name', { 'a\r\nrt-attempt': '1' }, String.raw`printable ASCII characters: "a\r\nrt-attempt"`],
    ['a space in a name', { 'a b': '1' }, 'printable ASCII characters: "a b"'],
    ['an empty name', { '': '1' }, 'printable ASCII characters: ""'],
    ['a name of 129 characters', { ['n'.repeat(129)]: '1' }, 'not 1 to 128'],
    ['a name beyond ASCII', { größe: '1' }, 'printable ASCII characters'],
    ['a number', { n: 5 }, 'has the header n with a number as value; headers are strings'],
    ['undefined', { n: undefined }, 'has the header n with a undefined as value'],
    ['an object', { n: {} }, 'has the header n with a object as value'],
    ['half a surrogate pair', { n: 'x\ud800' }, 'has the header n with a value that is not well-formed text'],
    [
      'more than 8 KiB',
      { a: 'x'.repeat(8000), b: '€'.repeat(100) },
      'has 8302 bytes of headers; at most 8192 are allowed',
    ],
  ])('may not have %s', (_, headers, problem) => {
    expect(userHeadersProblem(Object.entries(headers))).toContain(problem)
  })

  test('may not be called __proto__: objects would lose it', () => {
    expect(userHeadersProblem([['__proto__', 'x']])).toContain("has a header '__proto__'")
  })

  test.each([5, null, Symbol('s'), {}])('may not have the name %o', (name) => {
    expect(userHeadersProblem(new Map<unknown, unknown>([[name, 'x']]))).toContain('not 1 to 128 printable')
  })

  test('are read from a Map too', () => {
    expect(userHeadersProblem(new Map([['rt-v', '2']]))).toContain('rt-v')
  })
})

describe('a whole number in a header', () => {
  test.each([
    ['0', 0],
    ['1700000000000', 1_700_000_000_000],
    ['007', 7],
    ['999999999999999', 999_999_999_999_999],
    ['1000000000000000', undefined],
    ['', undefined],
    [' 1', undefined],
    ['1\n', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e9', undefined],
    ['0x10', undefined],
    ['Infinity', undefined],
    ['NaN', undefined],
    ['١٢', undefined],
    ['9'.repeat(100_000), undefined],
  ])('%.20j', (text, value) => {
    expect(integerHeader({ n: text }, 'n')).toBe(value)
  })

  test('that is absent', () => {
    expect(integerHeader({}, 'n')).toBeUndefined()
  })

  test.each([
    [{}, 1],
    [{ 'rt-attempt': '0' }, 1],
    [{ 'rt-attempt': 'x' }, 1],
    [{ 'rt-attempt': '4' }, 4],
  ])('attempts count from 1: %j', (headers, attempt) => {
    expect(attemptOf(headers)).toBe(attempt)
  })
})
