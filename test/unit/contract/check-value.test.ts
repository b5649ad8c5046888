import { type as ark } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { checkValue, type Checked } from '../../../contract/check-value.ts'
import { type } from '../../../contract/method.ts'
import type { Schema } from '../../../contract/types.ts'

function checkNow(schema: Schema | undefined, value: unknown): Checked {
  const checked = checkValue(schema, value)
  if (checked instanceof Promise) throw new Error('a synchronous schema was made asynchronous')
  return checked
}

function schemaOf(validate: (value: unknown) => unknown): Schema {
  const standard = { version: 1, vendor: 'test', validate }
  return { '~standard': standard as Schema['~standard'] }
}

const vendors: [string, Schema][] = [
  ['zod', z.object({ width: z.number().default(640) })],
  ['valibot', v.object({ width: v.optional(v.number(), 640) })],
  ['arktype', ark({ width: 'number = 640' })],
]

describe.each(vendors)('%s', (_, schema) => {
  test('gives the parsed value, at once', () => {
    expect(checkNow(schema, {})).toEqual({ value: { width: 640 } })
    expect(checkNow(schema, { width: 5 })).toEqual({ value: { width: 5 } })
  })

  test('gives the issues with their path, at once', () => {
    const { issues } = checkNow(schema, { width: 'wide' })
    expect(issues).toHaveLength(1)
    expect(issues?.[0]?.message).toMatch(/number/)
    const [key] = issues?.[0]?.path ?? []
    expect(typeof key === 'object' ? key.key : key).toBe('width')
  })
})

test('transforms are applied', () => {
  const schema = z.iso.datetime().transform((text) => new Date(text))
  expect(checkNow(schema, '2026-01-02T00:00:00Z')).toEqual({ value: new Date('2026-01-02T00:00:00Z') })
})

describe('nothing is checked', () => {
  const value = { any: Symbol('thing') }
  test('without a schema', () => expect(checkNow(undefined, value)).toEqual({ value }))
  test('by type<T>()', () => expect(checkNow(type<string>(), value)).toEqual({ value }))
})

describe('an asynchronous schema', () => {
  const schema = z.string().refine(async (text) => text !== 'taken', 'is taken')

  test('gives a promise of the same', async () => {
    const checked = checkValue(schema, 'free')
    expect(checked).toBeInstanceOf(Promise)
    expect(await checked).toEqual({ value: 'free' })
    expect(await checkValue(schema, 'taken')).toMatchObject({ issues: [{ message: 'is taken' }] })
  })
})

describe('a schema that fails itself is an issue', () => {
  const broken = (thrown: unknown): Schema =>
    schemaOf(() => {
      throw thrown
    })

  test.each([
    ['an error', new Error('no database'), 'the schema itself threw: Error: no database'],
    ['a string', 'oops', 'the schema itself threw: threw oops'],
    ['an object without prototype', Object.create(null), 'the schema itself threw: threw a object, not an Error'],
  ])('when it throws %s', async (_, thrown, message) => {
    expect(checkNow(broken(thrown), 1)).toEqual({ issues: [{ message }] })
    expect(
      await checkValue(
        schemaOf(() => Promise.reject(thrown)),
        1,
      ),
    ).toEqual({ issues: [{ message }] })
  })

  test('when it gives no result', async () => {
    expect(
      checkNow(
        schemaOf(() => undefined),
        1,
      ).issues?.[0]?.message,
    ).toContain('the schema itself threw')
    const later = await checkValue(
      schemaOf(async () => undefined),
      1,
    )
    expect(later.issues?.[0]?.message).toContain('the schema itself threw')
  })
})
