import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, isErrorCode, type ErrorCode } from '../../../protocol/error-codes.ts'
import * as errors from '../../../protocol/errors.ts'

const { BrokerError, CallError, ConfigError, DeclaredError, errorOf, messageOf, RemoteError, ReplytoError } = errors

/** Another module for the runtime; not a literal, as TypeScript knows no queries. */
const COPY: string = '../../../protocol/errors.ts?copy'

const codes = Object.keys(ERROR_CODES).filter(isErrorCode)
const classes = { CallError, RemoteError, BrokerError, ConfigError }

const facts = {
  executed: 'unknown',
  stage: 'queued',
  service: 'images',
  method: 'resize',
  queue: 'replyto.q.default.images.v1',
  callId: 'c-1',
  attempts: 2,
  elapsedMs: 30_000.4,
} as const

/** The module as another copy of the package would have it, with names as a minifier leaves them. */
async function importCopy(): Promise<typeof errors> {
  const copy: typeof errors = await import(/* @vite-ignore */ COPY)
  for (const [index, made] of [copy.ReplytoError, copy.CallError, copy.RemoteError, copy.DeclaredError].entries())
    Object.defineProperty(made, 'name', { value: `a${index}` })
  return copy
}

describe.each(codes)('%s', (code) => {
  const error = errorOf(code, 'what happened', facts)

  test('belongs to the class of its row and to no other', () => {
    const matching = Object.entries(classes).flatMap(([name, made]) => (error instanceof made ? [name] : []))
    expect(matching).toEqual([ERROR_CODES[code].by])
    expect(error).toBeInstanceOf(ReplytoError)
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBeInstanceOf(DeclaredError)
    expect(error.name).toBe(ERROR_CODES[code].by)
  })

  test('says its code, whether to try again and which call it was', () => {
    expect(error).toMatchObject({ ...facts, code, retryable: ERROR_CODES[code].retryable })
    expect(error.message).toBe(
      `[${code}] what happened (images.resize, queue replyto.q.default.images.v1, call c-1, attempts 2, after 30000 ms, executed: unknown)`,
    )
  })
})

test('each row is one sentence', () => {
  for (const code of codes) expect(ERROR_CODES[code].sentence).toMatch(/^[A-Z].*\.$|^failFast.*\.$/)
})

test.each(['toString', '__proto__', 'timeout', '', 'NOT_FOUND'])('%j is no code of the table', (code) => {
  expect(isErrorCode(code)).toBe(false)
})

describe('an error without a call', () => {
  const error = new ConfigError('concurrency must be a whole number')

  test('was not executed', () => {
    expect(error).toMatchObject({
      code: 'CONFIG',
      executed: 'no',
      stage: 'outbox',
      attempts: 0,
      service: '',
      callId: '',
    })
    expect(error.message).toBe('[CONFIG] concurrency must be a whole number')
  })

  test('prints without what is not known', () => {
    const printed = inspect(error).replaceAll(/\n +at [^{]*?(?=\n| \{)/g, '')
    expect(printed).toBe(
      "ConfigError: [CONFIG] concurrency must be a whole number {\n  retryable: false,\n  code: 'CONFIG'\n}",
    )
  })
})

describe('console output', () => {
  test('shows the facts of the call, the issues and the cause', () => {
    const issues = [{ message: 'too small', path: ['width'] }]
    const printed = inspect(new CallError('INVALID_INPUT', 'bad', { ...facts, issues, cause: new Error('why') }))
    expect(printed).toMatch(/^CallError: \[INVALID_INPUT\] bad \(images\.resize/)
    for (const part of ["callId: 'c-1'", "executed: 'unknown'", 'too small', '[cause]: Error: why'])
      expect(printed).toContain(part)
  })

  test('is free of brands and of undefined', () => {
    const printed = inspect(new RemoteError('CRASHED', 'x', { ...facts, cause: undefined, issues: undefined }))
    expect(printed).not.toMatch(/~|undefined|name:/)
  })
})

describe('a declared error', () => {
  const error = new DeclaredError('NOT_FOUND', { path: '/a' }, 'no such file', facts)

  test('is a RemoteError with its data', () => {
    expect(error).toBeInstanceOf(DeclaredError)
    expect(error).toBeInstanceOf(RemoteError)
    expect(error).toBeInstanceOf(ReplytoError)
    expect(error).not.toBeInstanceOf(CallError)
    expect(error).toMatchObject({ code: 'NOT_FOUND', data: { path: '/a' }, retryable: false, name: 'DeclaredError' })
    expect(error.message).toMatch(/^\[NOT_FOUND\] no such file/)
  })
})

describe('instanceof', () => {
  test('works across two copies of the package, minified ones too', async () => {
    const copy = await importCopy()
    expect(copy.CallError).not.toBe(CallError)
    const theirs = new copy.CallError('TIMEOUT', 'x')
    const ours = new CallError('TIMEOUT', 'x')
    expect(theirs).toBeInstanceOf(CallError)
    expect(theirs).toBeInstanceOf(ReplytoError)
    expect(theirs).not.toBeInstanceOf(RemoteError)
    expect(ours).toBeInstanceOf(copy.CallError)
    expect(ours).toBeInstanceOf(copy.ReplytoError)
    expect(ours).not.toBeInstanceOf(copy.RemoteError)
    const declared = new copy.DeclaredError('NOT_FOUND', 1, 'x')
    expect(declared).toBeInstanceOf(DeclaredError)
    expect(declared).toBeInstanceOf(RemoteError)
    expect(new DeclaredError('NOT_FOUND', 1, 'x')).toBeInstanceOf(copy.DeclaredError)
    expect(new RemoteError('CRASHED', 'x')).not.toBeInstanceOf(copy.DeclaredError)
  })

  test("a user's subclass has only its own instances", () => {
    class Mine extends CallError {}
    expect(new Mine('TIMEOUT', 'x')).toBeInstanceOf(Mine)
    expect(new Mine('TIMEOUT', 'x')).toBeInstanceOf(CallError)
    expect(new CallError('TIMEOUT', 'x')).not.toBeInstanceOf(Mine)
  })

  test.each([[null], [undefined], ['CallError'], [{}], [{ '~replyto': 1 }], [new Error('x')]])(
    '%j is none',
    (value) => {
      expect(value).not.toBeInstanceOf(ReplytoError)
      expect(value).not.toBeInstanceOf(CallError)
    },
  )
})

describe('messageOf', () => {
  test.each([
    [new TypeError('a\n  b'), 'TypeError: a b'],
    ['text', 'threw text'],
    [undefined, 'threw undefined'],
    [Symbol('s'), 'threw Symbol(s)'],
    [{ secret: 1 }, 'threw a object, not an Error'],
    [Object.create(null), 'threw a object, not an Error'],
  ])('%o', (thrown, text) => {
    expect(messageOf(thrown)).toBe(text)
  })

  test('is bounded', () => {
    expect(messageOf(new Error('x'.repeat(10_000)))).toHaveLength(500)
  })
})

// every code is made by the class of its row, at compile time too
void (codes satisfies ErrorCode[])
