import { describe, expect, test } from 'vitest'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { jsonCodec } from '../../../protocol/codec-json.ts'
import { ERROR_CODES, isErrorCode } from '../../../protocol/error-codes.ts'
import { DeclaredError, errorOf, RemoteError, type CallFacts } from '../../../protocol/errors.ts'
import {
  describeIssues,
  encodeWireError,
  errorFromWire,
  parseWireError,
  plainIssues,
  type WireError,
} from '../../../protocol/wire-errors.ts'

const codecs = [cborCodec, jsonCodec]
const codes = Object.keys(ERROR_CODES).filter(isErrorCode)

const facts: CallFacts = {
  executed: 'yes',
  stage: 'running',
  service: 'images',
  method: 'resize',
  queue: 'q',
  callId: 'c-1',
  attempts: 1,
  elapsedMs: 5,
}

function wireError(code: string, more: Partial<WireError> = {}): WireError {
  return { code, message: 'why', executed: 'yes', retryable: false, attempts: 2, ...more }
}

describe.each(codecs)('$contentType', (codec) => {
  test.each(codes)('%s survives the wire', (code) => {
    const sent = wireError(code, { issues: [{ message: 'too small', path: ['list', 0] }] })
    const received = parseWireError(codec.decode(encodeWireError(sent, codec)))
    expect(received).toStrictEqual(sent)
    const error = errorFromWire(received, facts, undefined)
    expect(error).toMatchObject({ ...facts, code, issues: sent.issues, name: errorOf(code, '', {}).name })
    expect(error.message).toMatch(new RegExp(`^\\[${code}\\] why \\(images\\.resize`))
  })

  test('a declared error carries its data', () => {
    const received = parseWireError(
      codec.decode(encodeWireError(wireError('NOT_FOUND', { data: { path: '/a' } }), codec)),
    )
    const error = errorFromWire(received, facts, { data: received.data })
    expect(error).toBeInstanceOf(DeclaredError)
    expect(error).toMatchObject({ code: 'NOT_FOUND', data: { path: '/a' }, callId: 'c-1' })
  })
})

test('a code that nobody declares is HANDLER_FAILED with the code in its text', () => {
  const error = errorFromWire(wireError('SURPRISE', { data: { secret: 1 } }), facts, undefined)
  expect(error).toBeInstanceOf(RemoteError)
  expect(error).not.toBeInstanceOf(DeclaredError)
  expect(error.code).toBe('HANDLER_FAILED')
  expect(error.message).toContain('why (code "SURPRISE", which the contract does not declare)')
  expect(error).not.toHaveProperty('data')
})

describe('hostile errors', () => {
  test.each([
    [undefined],
    [null],
    ['TIMEOUT'],
    [7],
    [[]],
    [{}],
    [{ code: '' }],
    [{ code: 5, message: 'x' }],
    [{ code: { toString: 1 } }],
    [new Map([['code', 'TIMEOUT']])],
  ])('%o could not be read', (value) => {
    expect(parseWireError(value)).toMatchObject({ code: 'INVALID_MESSAGE', executed: 'unknown', retryable: false })
  })

  test('fields of other types fall back to what claims least', () => {
    const value = { code: 'X', message: 5, executed: 'maybe', retryable: 'yes', attempts: 1.5, issues: 'none' }
    expect(parseWireError(value)).toStrictEqual({
      code: 'X',
      message: 'X',
      executed: 'unknown',
      retryable: false,
      attempts: 1,
    })
  })

  test.each([-1, 0, 2 ** 60, NaN, '3'])('%s attempts are one', (attempts) => {
    expect(parseWireError({ code: 'X', attempts }).attempts).toBe(1)
  })

  test('long text is cut', () => {
    const parsed = parseWireError({
      code: 'C'.repeat(1000),
      message: 'm'.repeat(100_000),
      issues: [{ message: 'i'.repeat(9000) }],
    })
    expect(parsed.code).toHaveLength(64)
    expect(parsed.message).toHaveLength(4000)
    expect(parsed.issues?.[0]?.message).toHaveLength(1000)
  })

  test('only issues that look like issues are kept', () => {
    const issues = [
      null,
      'x',
      {},
      { message: 1 },
      { message: 'kept', path: ['a', {}, 1, null] },
      { message: 'no path', path: 'a' },
    ]
    expect(parseWireError({ code: 'X', issues }).issues).toStrictEqual([
      { message: 'kept', path: ['a', 1] },
      { message: 'no path' },
    ])
  })

  test('a stack or other fields are not taken over', () => {
    expect(parseWireError({ code: 'X', stack: 'secret', cause: 'secret' })).not.toHaveProperty('stack')
    expect(parseWireError({ code: 'X', stack: 'secret', cause: 'secret' })).not.toHaveProperty('cause')
  })
})

describe('issues', () => {
  const issues = [
    { message: 'expected number', path: ['list', { key: 0 }, 'width'] },
    { message: 'is odd', path: [Symbol('tag')] },
    { message: 'all wrong' },
  ]

  test('become plain data', () => {
    expect(plainIssues(issues)).toStrictEqual([
      { message: 'expected number', path: ['list', 0, 'width'] },
      { message: 'is odd', path: ['Symbol(tag)'] },
      { message: 'all wrong' },
    ])
    expect(plainIssues(Array.from({ length: 200 }, () => ({ message: 'x' })))).toHaveLength(50)
  })

  test('are described in one line', () => {
    expect(describeIssues(issues)).toBe('list.0.width: expected number; Symbol(tag): is odd; all wrong')
    expect(describeIssues(Array.from({ length: 7 }, () => ({ message: 'x' })))).toBe('x; x; x; x; x; and 2 more')
  })
})

test('whether to try again is what the worker says; without a word of it, what the table says', () => {
  const final = parseWireError({ code: 'HANDLER_FAILED', message: 'x', retryable: false })
  expect(errorFromWire(final, facts, undefined).retryable).toBe(false)
  const silent = parseWireError({ code: 'HANDLER_FAILED', message: 'x' })
  expect(errorFromWire(silent, facts, undefined).retryable).toBe(true)
})
