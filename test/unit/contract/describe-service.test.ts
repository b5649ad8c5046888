import { type as ark } from 'arktype'
import * as v from 'valibot'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineService } from '../../../contract/define-service.ts'
import { describeService } from '../../../contract/describe-service.ts'
import { method, type } from '../../../contract/method.ts'

const images = defineService('images', {
  version: '0.3.1',
  encoding: 'json',
  methods: {
    resize: method({
      input: z.object({ path: z.string(), width: z.number().default(640) }),
      output: z.object({ at: z.date() }),
      errors: { NOT_FOUND: z.object({ path: z.string() }), GONE: type<void>() },
      progress: ark({ percent: 'number' }),
      timeoutMs: 10_000,
      attemptTimeoutMs: 5000,
      idempotent: false,
      retry: { attempts: 3 },
    }),
    audit: method({ input: v.string(), oneWay: true }),
    ping: method({}),
    post: method({ keyed: true }),
    hurry: method({ priority: true }),
  },
})

const description = describeService(images)

test('says name, version, major and encoding', () => {
  expect(description).toMatchObject({ name: 'images', version: '0.3.1', major: 'v0-3', encoding: 'json' })
})

test('is JSON', () => {
  expect(JSON.parse(JSON.stringify(description))).toStrictEqual(description)
})

test('says what was said of each method and nothing else', () => {
  const { resize, audit, ping, post, hurry } = description.methods
  expect(resize).toMatchObject({ kind: 'call', timeoutMs: 10_000, attemptTimeoutMs: 5000, idempotent: false })
  expect(resize?.retry).toStrictEqual({ attempts: 3 })
  expect(Object.keys(resize?.errors ?? {})).toEqual(['NOT_FOUND', 'GONE'])
  expect(audit).toStrictEqual({ kind: 'oneWay', input: { vendor: 'valibot' } })
  expect(ping).toStrictEqual({ kind: 'call' })
  expect([post, hurry]).toStrictEqual([
    { kind: 'call', keyed: true },
    { kind: 'call', priority: true },
  ])
})

test("shows zod's and arktype's JSON Schema of what travels", () => {
  const { input, progress } = description.methods['resize'] ?? {}
  expect(input).toMatchObject({
    vendor: 'zod',
    jsonSchema: {
      type: 'object',
      properties: { path: { type: 'string' }, width: { type: 'number', default: 640 } },
      required: ['path'],
    },
  })
  expect(progress).toMatchObject({ vendor: 'arktype', jsonSchema: { type: 'object', required: ['percent'] } })
})

test('leaves out what JSON Schema cannot say', () => {
  const { output, errors } = description.methods['resize'] ?? {}
  expect(output).toStrictEqual({ vendor: 'zod' })
  expect(errors?.['GONE']).toStrictEqual({ vendor: 'replyto' })
})
