import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ERROR_CODES, isErrorCode } from '../../../protocol/error-codes.ts'
import { ConfigError } from '../../../protocol/errors.ts'
import { defineService } from '../../../contract/define-service.ts'
import { factsOf, method, methodsOf, type } from '../../../contract/method.ts'
import { assertService, queueOf } from '../../../contract/service-facts.ts'
import type { AnyMethod } from '../../../contract/types.ts'

const ping = method({})

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return error instanceof Error ? error.message : ''
  }
  throw new Error('nothing was refused')
}

/** For what TypeScript would not let through, but JavaScript does. */
function loosely(value: unknown): never {
  return value as never
}

describe('a service', () => {
  const input = z.object({ path: z.string() })
  const output = type<{ size: number }>()
  const images = defineService('images', {
    version: '1.2.0',
    methods: {
      resize: method({
        input,
        output,
        errors: { NOT_FOUND: z.object({ path: z.string() }) },
        timeoutMs: 10_000,
        attemptTimeoutMs: 5000,
        idempotent: true,
        retry: { attempts: 5, minDelayMs: 200, maxDelayMs: 2000 },
        progress: type<number>(),
      }),
      audit: method({ input: type<string>(), oneWay: true }),
      ping,
    },
  })

  test('is plain data with what was said', () => {
    expect(images).toMatchObject({ '~replyto': 1, name: 'images', version: '1.2.0', encoding: 'cbor' })
    expect(Object.keys(images.methods)).toEqual(['resize', 'audit', 'ping'])
    expect(factsOf(images.methods.resize)).toMatchObject({ kind: 'call', timeoutMs: 10_000, idempotent: true })
    expect(factsOf(images.methods.resize).input).toBe(input)
    expect(factsOf(images.methods.resize).output).toBe(output)
    expect(factsOf(images.methods.audit)).toMatchObject({ kind: 'oneWay' })
    expect(factsOf(images.methods.audit)).not.toHaveProperty('oneWay')
    expect(factsOf(images.methods.ping)).toEqual({ kind: 'call' })
    for (const made of Object.values(images.methods)) expect(Object.getPrototypeOf(made)).toBe(Object.prototype)
  })

  test('is frozen throughout, but for the schemas', () => {
    const { retry, errors } = factsOf(images.methods.resize)
    for (const part of [images, images.methods, images.methods.resize, images.methods.audit, retry, errors])
      expect(Object.isFrozen(part)).toBe(true)
    expect(Object.isFrozen(input)).toBe(false)
  })

  test('does not follow the object that it was made from', () => {
    const methods: Record<string, AnyMethod> = { ping }
    const service = defineService('a', { methods })
    methods['later'] = method({})
    expect(Object.keys(service.methods)).toEqual(['ping'])
  })

  test('leaves the objects alone that its methods were made from', () => {
    const retry = { attempts: 3 }
    const errors = { GONE: type<void>() }
    const service = defineService('a', { methods: { f: method({ retry, errors }) } })
    retry.attempts = 9
    expect(Object.isFrozen(errors)).toBe(false)
    expect(factsOf(service.methods.f)).toMatchObject({ retry: { attempts: 3 }, errors: { GONE: errors.GONE } })
  })

  test('has version 1.0.0 and cbor unless it says otherwise', () => {
    expect(defineService('a', { methods: { ping } })).toMatchObject({ version: '1.0.0', encoding: 'cbor' })
    expect(defineService('a', { version: undefined, encoding: 'json', methods: { ping } }).encoding).toBe('json')
  })

  test('has a queue', () => {
    expect(queueOf(images, 'gpu')).toEqual({
      group: 'gpu',
      service: 'images',
      major: 'v1',
      features: { keyed: false, priority: false, frames: false },
    })
    expect(queueOf(defineService('a', { version: '0.3.1', methods: { ping } }), 'x').major).toBe('v0-3')
    const features = queueOf(
      defineService('a', { methods: { ping, keyed: method({ keyed: true }), hurry: method({ priority: true }) } }),
      'x',
    ).features
    expect(features).toEqual({ keyed: true, priority: true, frames: false })
    expect(refusal(() => queueOf({ ...images, version: 'new' }, 'x'))).toContain('has the version "new"')
  })

  test('may share methods with another one', () => {
    expect(defineService('b', { methods: images.methods }).methods.resize).toBe(images.methods.resize)
  })
})

describe('a service cannot have', () => {
  test.each([
    ['a name that is none', 'Images', {}, 'the name of a service must be 1 to 40 of a-z'],
    ['no name', undefined, {}, 'the name of a service must be 1 to 40 of a-z'],
    ['a version that is none', 'a', { version: '1.2' }, `service 'a': version must be like '1.4.2'; got "1.2"`],
    ['an empty version', 'a', { version: '' }, `service 'a': version must be like '1.4.2'; got ""`],
    ['a number as version', 'a', { version: 2 }, `service 'a': version must be like '1.4.2'; got 2`],
    ['another encoding', 'a', { encoding: 'xml' }, `service 'a': encoding must be 'cbor' or 'json'; got "xml"`],
    ['no methods', 'a', { methods: {} }, `service 'a' has no methods: give at least one`],
    ['methods that are none', 'a', { methods: null }, `service 'a' must be defined by { methods: { … } }`],
    ['a name of a method that is none', 'a', { methods: { 'a-b': ping } }, `method 'a.a-b': the name must be 1 to 64`],
    ['a method called then', 'a', { methods: { then: ping } }, `method 'a.then': the name must not be "then"`],
    ['a function as method', 'a', { methods: { f: () => 1 } }, `method 'a.f' must be made by method({…})`],
    ['a bare definition as method', 'a', { methods: { f: {} } }, `method 'a.f' must be made by method({…})`],
    ['null as method', 'a', { methods: { f: null } }, `method 'a.f' must be made by method({…})`],
    [
      'a method of a later kind',
      'a',
      { methods: { f: { kind: 'later' } } },
      `method 'a.f' must be made by method({…})`,
    ],
  ])('%s', (_, name, definition, message) => {
    expect(refusal(() => defineService(loosely(name), loosely({ methods: { ping }, ...definition })))).toContain(
      `[CONFIG] ${message}`,
    )
  })

  test('no definition', () => {
    expect(refusal(() => defineService('a', loosely(undefined)))).toContain("service 'a' must be defined by")
  })
})

describe('a method cannot have', () => {
  const schema = 'must be a Standard Schema (zod, valibot, arktype, …) or type<T>()'
  const whole = 'must be a whole number from'

  test.each([
    ['an input that is no schema', { input: { path: 'string' } }, `input ${schema}`],
    ['an output that is no schema', { output: 'string' }, `output ${schema}`],
    ['null as schema', { output: null }, `output ${schema}`],
    ['progress that is no schema', { progress: {} }, `progress ${schema}`],
    ['an error that is no schema', { errors: { TAKEN: true } }, `error TAKEN ${schema}`],
    ['a schema with nothing to call', { input: { '~standard': {} } }, `input ${schema}`],
    ['timeoutMs 0', { timeoutMs: 0 }, `timeoutMs ${whole} 1 to 2147483647; got 0`],
    ['a part of a millisecond', { timeoutMs: 1.5 }, `timeoutMs ${whole} 1 to 2147483647; got 1.5`],
    ['endless time', { timeoutMs: Infinity }, `timeoutMs ${whole} 1 to 2147483647; got Infinity`],
    ['time as text', { timeoutMs: '5s' }, `timeoutMs ${whole} 1 to 2147483647; got "5s"`],
    ['more time than timers take', { timeoutMs: 2 ** 31 }, `timeoutMs ${whole} 1 to 2147483647; got 2147483648`],
    ['attemptTimeoutMs NaN', { attemptTimeoutMs: NaN }, `attemptTimeoutMs ${whole} 1 to 2147483647; got NaN`],
    ['no attempts', { retry: { attempts: 0 } }, `retry.attempts ${whole} 1 to 2147483647; got 0`],
    ['a delay before now', { retry: { minDelayMs: -1 } }, `retry.minDelayMs ${whole} 0 to 2147483647; got -1`],
    ['a longest delay before now', { retry: { maxDelayMs: -1 } }, `retry.maxDelayMs ${whole} 0 to 2147483647; got -1`],
    ['a word for keyed', { keyed: 'yes' }, 'keyed must be true or false; got yes'],
    ['a number for priority', { priority: 1 }, 'priority must be true or false; got 1'],
    [
      'an order and what breaks it',
      { keyed: true, priority: true },
      'is keyed and has priority: calls of a key run in their order, and a priority would let one overtake another; leave one out',
    ],
    [
      'a shortest delay over the longest',
      { retry: { minDelayMs: 500, maxDelayMs: 100 } },
      'retry.minDelayMs (500) must not be larger than retry.maxDelayMs (100)',
    ],
    [
      'a shortest delay over the default of the longest',
      { retry: { minDelayMs: 40_000 } },
      'retry.minDelayMs (40000) must not be larger than retry.maxDelayMs (30000)',
    ],
  ])('%s', (_, definition, message) => {
    const run = (): unknown => defineService('a', { methods: { f: method(loosely({ ...definition })) } })
    expect(refusal(run)).toBe(`[CONFIG] method 'a.f'${message.startsWith('is ') ? '' : ':'} ${message}`)
  })

  test.each([
    ['output', type<string>()],
    ['errors', { GONE: type<string>() }],
    ['progress', type<number>()],
  ])('%s that nobody could read', (field, given) => {
    const definition = { oneWay: true, [field]: given }
    expect(refusal(() => defineService('a', { methods: { f: method(loosely({ ...definition })) } }))).toBe(
      `[CONFIG] method 'a.f' is oneWay and has ${field}, which nobody could read: leave one out`,
    )
  })

  test.each(Object.keys(ERROR_CODES).filter(isErrorCode))('the error %s of the library', (code) => {
    const definition = { errors: { [code]: type<void>() } }
    expect(refusal(() => defineService('a', { methods: { f: method(loosely({ ...definition })) } }))).toBe(
      `[CONFIG] method 'a.f' declares the error ${code}, which is a code of the library: choose another name`,
    )
  })

  test.each(['', '1A', 'A B', 'A\n', 'ÄRGER', '__proto__', 'X'.repeat(65)])('an error called %j', (code) => {
    const errors = Object.fromEntries([[code, type<void>()]])
    expect(refusal(() => defineService('a', { methods: { f: method(loosely({ errors })) } }))).toContain(
      "method 'a.f': the name of an error must be 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-', beginning with a letter",
    )
  })

  test('may have an error of 64 characters', () => {
    const errors = { ['X'.repeat(64)]: type<void>(), 'image.not-found': type<void>() }
    expect(() => defineService('a', { methods: { f: method({ errors }) } })).not.toThrow()
  })
})

describe('methodsOf', () => {
  interface Api {
    create(input: { path: string }): Promise<{ id: string }>
    ping(): 'pong'
  }

  test('makes calls without schemas', () => {
    const service = defineService('thumbs', { methods: methodsOf<Api>()({ create: { timeoutMs: 500 }, ping: {} }) })
    expect(factsOf(service.methods.create)).toEqual({ kind: 'call', timeoutMs: 500 })
    expect(factsOf(service.methods.ping)).toEqual({ kind: 'call' })
  })

  test('is checked like every method', () => {
    expect(refusal(() => defineService('a', { methods: methodsOf<Api>()({ ping: { timeoutMs: -1 } }) }))).toContain(
      "method 'a.ping': timeoutMs",
    )
  })
})

describe('a contract of another copy of the package', () => {
  test('is a service like our own', async () => {
    const url: string = '../../../contract/define-service.ts?copy'
    const copy: { defineService: typeof defineService } = await import(/* @vite-ignore */ url)
    expect(copy.defineService).not.toBe(defineService)
    const theirs = copy.defineService('a', { methods: { ping } })
    expect(() => assertService(theirs)).not.toThrow()
    expect(theirs).toEqual(defineService('a', { methods: { ping } }))
    expect(queueOf(theirs, 'x').major).toBe('v1')
    const run = (): unknown => copy.defineService('A', { methods: { ping } })
    expect(refusal(run)).toContain('the name of a service')
  })

  test.each([
    ['nothing', undefined, 'a service must be made by defineService(…)'],
    ['a string', 'images', 'a service must be made by defineService(…)'],
    ['some object', { name: 'images', methods: {} }, 'a service must be made by defineService(…)'],
    ['a newer kind', { '~replyto': 2 }, 'made by a newer replyto (kind 2): update the package here'],
  ])('%s is none', (_, value, message) => {
    expect(refusal(() => assertService(value))).toContain(message)
  })
})
