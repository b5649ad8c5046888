import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createClient } from '../../../client/index.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import type { Schema } from '../../../contract/types.ts'
import { callScope, type CallScope } from '../../../protocol/call-scope.ts'
import type { MiddlewareCall } from '../../../protocol/middleware.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { createScripted, publishedOf } from '../../support/scripted-adapter.ts'
import { errorOf, scriptedClient, turns } from '../../support/scripted-client.ts'
import { echo } from './raw-worker.ts'

/** What a schema of another library may do; only `validate` matters. */
function serviceWith(validate: (value: unknown) => unknown): typeof echo {
  const schema = { '~standard': { version: 1, vendor: 'test', validate } } as unknown as Schema
  return defineService('echo', {
    methods: { say: method({ input: schema, output: schema }), note: method({ input: schema, oneWay: true }) },
  }) as unknown as typeof echo
}

function scopeOf(changes: Partial<CallScope> = {}): CallScope {
  return {
    deadline: Date.now() + 60_000,
    depth: 1,
    queue: 'replyto.q.default.outer.v1',
    isPoolFull: () => false,
    signal: new AbortController().signal,
    ...changes,
  }
}

test('a call whose schema answers after its end runs no middleware and publishes nothing', async () => {
  const scripted = createScripted()
  const checked = createGate()
  let ran = 0
  const client = await scriptedClient(scripted, { middleware: [(_, next) => (ran++, next())] })
  const stub = client.service(serviceWith((value) => checked.opened.then(() => ({ value }))))
  expect(await errorOf(stub.say(1, { timeoutMs: 40 }))).toMatchObject({ code: 'TIMEOUT', executed: 'no' })
  checked.open()
  await turns(2)
  expect(ran).toBe(0)
  expect(scripted.published).toEqual([])
})

test.each([
  ['nothing', () => undefined],
  ['issues that are no list', () => ({ issues: 'bad' })],
  ['issues that are no issues', () => ({ issues: [null, 5, { message: 7, path: 3 }] })],
  ['such issues later', () => Promise.resolve({ issues: [null] })],
  ['a throw', () => Promise.reject(new Error('schema bug'))],
  ['a thenable', () => ({ then: (resolve: (value: unknown) => void) => resolve({ issues: [{ message: 'no' }] }) })],
])('a schema that gives %s refuses the input, and the call is gone', async (_, validate) => {
  const client = await scriptedClient(createScripted())
  const stub = client.service(serviceWith(validate))
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'INVALID_INPUT', executed: 'no' })
  expect(await errorOf(stub.say.start(1))).toMatchObject({ code: 'INVALID_INPUT' })
  await client.close()
})

test('a call that ends before it begins leaves no listener on any signal', async () => {
  const client = await scriptedClient(createScripted())
  const stub = client.service(echo)
  const own = new AbortController()
  const listeners = countListeners(own.signal)
  await callScope.run(scopeOf({ signal: AbortSignal.abort() }), () => errorOf(stub.say(1, { signal: own.signal })))
  const outer = new AbortController()
  const outerListeners = countListeners(outer.signal)
  await callScope.run(scopeOf({ signal: outer.signal }), () =>
    errorOf(stub.say(1, { signal: AbortSignal.abort('enough') })),
  )
  expect([listeners(), outerListeners()]).toEqual([0, 0])
})

test('nested calls inherit the smaller deadline, the signal and the depth; sends inherit neither', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const deadline = Date.now() + 5_000
  const controller = new AbortController()
  const call = callScope.run(scopeOf({ deadline, depth: 3, signal: controller.signal }), () => {
    stub.note.send(1).catch(() => undefined)
    return stub.say.start(1)
  })
  await publishedOf(scripted, 2)
  const [send, published] = scripted.published.toSorted((a, b) => b.type.localeCompare(a.type))
  expect(published?.headers).toMatchObject({ 'rt-deadline': String(deadline), 'rt-depth': '3' })
  expect(send?.headers).not.toHaveProperty('rt-depth')
  controller.abort()
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED' })
  const deep = callScope.run(scopeOf({ depth: 33 }), () => errorOf(stub.say(1)))
  expect(await deep).toMatchObject({ code: 'OVERLOADED', executed: 'no' })
  const late = callScope.run(scopeOf({ deadline: Date.now() - 1 }), () => errorOf(stub.say(1)))
  expect(await late).toMatchObject({ code: 'TIMEOUT', executed: 'no' })
})

test('a middleware that goes on after the end gets the end and publishes nothing', async () => {
  const scripted = createScripted()
  const ready = createGate()
  let seen: unknown
  const client = await scriptedClient(scripted, {
    middleware: [
      async (_, next) => {
        await ready.opened
        return next().catch((error: unknown) => (seen = error))
      },
    ],
  })
  const error = await errorOf(client.service(echo).say(1, { timeoutMs: 40 }))
  ready.open()
  await eventually(() => seen === error)
  expect(scripted.published).toEqual([])
})

test('a middleware that does not look at next() ends its call, not the process', async () => {
  const client = await scriptedClient(createScripted(), {
    middleware: [
      (_, next) => {
        void next()
        throw new Error('thrown at once')
      },
    ],
  })
  await expect(client.service(echo).say(1)).rejects.toThrow('thrown at once')
  await turns(2) // an unhandled rejection fails the run
})

test('a middleware may answer by itself; what it changes badly fails its call', async () => {
  const scripted = createScripted()
  let change: (call: MiddlewareCall) => unknown = () => undefined
  const client = await scriptedClient(scripted, {
    middleware: [async (call, next) => change(call) ?? next()],
  })
  const stub = client.service(echo)
  change = () => 'from the cache'
  expect(await stub.say(1)).toBe('from the cache')
  change = (call) => void call.headers.set('rt-id', 'x')
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'CONFIG', executed: 'no' })
  change = (call) => void call.headers.set('x', 5 as never)
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'CONFIG' })
  change = (call) => void (call.input = () => 1)
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'INVALID_INPUT', executed: 'no' })
  expect(scripted.published).toEqual([])
})

test('a started call: awaited twice, in Promise.all, with finally, held and never looked at', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const held = stub.say.start(1, { timeoutMs: 30 })
  const call = stub.say.start(2)
  await publishedOf(scripted, 2)
  scripted.answer({ id: call.id }, 'two')
  expect(await Promise.all([call, call])).toEqual(['two', 'two'])
  let wasFinal = 0
  expect(await call.finally(() => void wasFinal++)).toBe('two')
  expect(wasFinal).toBe(1)
  await eventually(() => held.stage === 'settled')
  await expect(held.stored()).resolves.toBeUndefined()
  expect(await held.outcome()).toMatchObject({ status: 'error', error: { code: 'TIMEOUT' } })
  expect(await held.catch(() => 'caught')).toBe('caught')
})

test('progress: several readers, a late one, and more values than are kept', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const call = client.service(echo).say.start(1)
  const message = await publishedOf(scripted, 1)
  const first = all(call.progress)
  for (let n = 0; n < 1500; n++) scripted.answer(message, n, 'progress')
  scripted.answer(message, 'done')
  expect(await call).toBe('done')
  const late = await all(call.progress)
  expect([late.length, late[0], late.at(-1)]).toEqual([1000, 500, 1499])
  expect((await first).at(-1)).toBe(1499)
})

test.each([
  ['timeoutMs', NaN],
  ['timeoutMs', Infinity],
  ['timeoutMs', '100'],
  ['timeoutMs', null],
  ['timeoutMs', 0],
  ['delayMs', -1],
  ['expiresMs', 0],
  ['expiresMs', 1.5],
  ['id', ''],
  ['id', '123'],
  ['id', 'a b'],
  ['id', 'a/b'],
  ['id', 'x'.repeat(65)],
  ['id', 5],
  ['id', null],
  ['signal', {}],
  ['failFast', 'no'],
  ['headers', null],
  ['headers', 'ab'],
  ['headers', new Map([['a', 'b']])],
  ['timeout', 100],
])('a send with { %s: %s } rejects with CONFIG', async (name, value) => {
  const client = await scriptedClient(createScripted())
  const options = { [name]: value }
  expect(await errorOf(client.service(echo).note.send(1, options as object))).toMatchObject({
    code: 'CONFIG',
    executed: 'no',
  })
})

test('a send that would expire before it is due is refused, naming both times', async () => {
  const client = await scriptedClient(createScripted())
  const error = await errorOf(client.service(echo).note.send(1, { delayMs: 500, expiresMs: 500 }))
  expect(error).toMatchObject({ code: 'CONFIG', executed: 'no' })
  expect(error.message).toMatch(/expiresMs must be more than delayMs.* 500 and 500/)
})

test('two sends with one id are settled each by its own outcome, and close waits for both', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const receipts = await Promise.all([stub.note.send(1, { id: 'order-7' }), stub.note.send(2, { id: 'order-7' })])
  expect(receipts).toEqual([{ id: 'order-7' }, { id: 'order-7' }])
  const closedAt = performance.now()
  await client.close({ graceMs: 10_000 })
  expect(performance.now() - closedAt).toBeLessThan(5_000)
})

test('options that a call does not have are refused, and null is no options', async () => {
  const client = await scriptedClient(createScripted())
  const stub = client.service(echo)
  expect(await errorOf(stub.say(1, { delayMs: 5 } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say(1, { inFlight: 5 } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say(1, { expiresMs: 5 } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say(1, { id: 'a' } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.note.sendMany([1], { id: 'a' } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say(1, null as never))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say.start(1, null as never))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say.map([1], { inFlight: 0 }).values())).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.say.map([1], { inflight: 1 } as object).values())).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(stub.note.sendMany([1], { inFlight: NaN }))).toMatchObject({ code: 'CONFIG' })
})

test('headers of stub and call together keep their bound, and the stub keeps its own copy', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const headers = { a: 'x'.repeat(5000) }
  const stub = client.service(echo, { headers })
  headers.a = 'changed'
  expect(await errorOf(stub.note.send(1, { headers: { b: 'x'.repeat(5000) } }))).toMatchObject({ code: 'CONFIG' })
  await stub.note.send(1, { headers: { a: 'mine' } })
  await stub.note.send(1)
  expect(scripted.published.map(({ headers }) => headers['a']?.slice(0, 4))).toEqual(['mine', 'xxxx'])
})

test.each([
  [{ timeout: 5 }],
  [{ name: '' }],
  [{ failFast: 'yes' }],
  [{ outbox: { calls: 0 } }],
  [{ outbox: { call: 5 } }],
  [{ validate: 'all' }],
  [{ timeoutMs: Infinity }],
  [{ namespace: 'A b' }],
])('createClient refuses %j', (options) => {
  expect(() => createClient('memory:options', options as object)).toThrow(/^\[CONFIG\]/)
})

test('a misspelt option of a stub, a queue or a filter is refused before it does harm', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  expect(() => client.service(echo, { grup: 'gpu' } as object)).toThrow(/^\[CONFIG\].*group/)
  expect(() => client.queue(echo, { grup: 'gpu' } as object)).toThrow(/^\[CONFIG\].*group/)
  const letters = client.queue(echo).deadLetters
  expect(await errorOf(letters.purge({ methods: 'say' } as object))).toMatchObject({ code: 'CONFIG' })
  expect(await errorOf(letters.purge(undefined as never))).toMatchObject({ code: 'CONFIG' })
  expect(await letters.purge({ method: 'say' })).toEqual({ count: 0 })
})

async function all(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const seen: unknown[] = []
  for await (const value of values) seen.push(value)
  return seen
}

/** How many listeners the signal has now. */
function countListeners(signal: AbortSignal): () => number {
  return () => getEventListeners(signal, 'abort').length
}

test('type() is the schema that checks nothing', async () => {
  const client = await scriptedClient(createScripted(), { validate: 'receiver' })
  expect(await client.service(serviceWith(() => ({ issues: [{ message: 'no' }] }))).note.send(1)).toHaveProperty('id')
  expect(type()).toHaveProperty('~standard')
})
