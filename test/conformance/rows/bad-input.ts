import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { parseWireError } from '../../../protocol/wire-errors.ts'
import type { Message, Reply } from '../../../protocol/message.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef, requestOf } from '../case-context.ts'
import { callOf, errorOf, probe, unused } from '../probe.ts'
import { aNumber, aString, objectOf } from '../schemas.ts'
import { isEmpty, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('bad input')
export const badInput = cases

const strict = defineService('probe', {
  methods: {
    work: method({
      input: objectOf<{ width: number; mode?: string }, { width: number; mode: string }>({
        width: aNumber,
        mode: (value = 'fit') => aString(value),
      }),
      output: type<unknown>(),
    }),
    note: method({ input: objectOf<{ width: number }>({ width: aNumber }), oneWay: true }),
  },
})
const bad: { width: number } = JSON.parse('{"width":"wide"}')

claim('what the schema refuses is refused before anything is published, with its issues', async (t) => {
  const wire = t.wire()
  const stub = t.client({ wire }).service(strict)
  for (const refused of [stub.work(bad), stub.note.send(bad)]) {
    const error = await errorOf(refused)
    expect(error).toMatchObject({ code: 'INVALID_INPUT', executed: 'no', stage: 'outbox' })
    expect(error.issues).toEqual([expect.objectContaining({ path: ['width'] })])
    expect(error.message).toContain('width')
  }
  expect(wire.faults.events.of('publish')).toEqual([])
})

claim('the receiver parses what the sender did not, and defaults are filled in once', async (t) => {
  await t.serve(strict, { note: unused, work: (input) => input })
  const lax = t.client({ validate: 'receiver' }).service(strict)
  expect(await errorOf(lax.work(bad))).toMatchObject({ code: 'INVALID_INPUT', stage: 'running' })
  expect(await lax.work({ width: 1 })).toEqual({ width: 1, mode: 'fit' })
})

claim('what cannot be encoded is refused with its path, before publishing', async (t) => {
  const wire = t.wire()
  const stub = t.client({ wire }).service(probe)
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  for (const value of [() => 1, Symbol('x'), new URL('http://a'), cyclic]) {
    const error = await errorOf(stub.work({ key: 'a', value: { deep: value } }))
    expect(error).toMatchObject({ code: 'INVALID_INPUT', executed: 'no' })
    expect(error.message).toContain('deep')
  }
  expect(wire.faults.events.of('publish')).toEqual([])
})

claim('an input over the limit is refused before publishing, and one just under it passes', async (t) => {
  const wire = t.wire()
  const stub = t.client({ wire, maxPayloadBytes: 4096 }).service(probe)
  await t.serve(probe, { note: unused, work: ({ value }) => String(value).length }, { maxPayloadBytes: 4096 })
  const error = await errorOf(stub.work({ key: 'a', value: 'x'.repeat(5000) }))
  expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'no', stage: 'outbox' })
  expect(error.message).toContain('4096')
  expect(wire.faults.events.of('publish')).toEqual([])
  expect(await stub.work({ key: 'a', value: 'x'.repeat(4000) })).toBe(4000)
})

/** What a foreign or hostile program may put on the queue; each has to end as a dead letter. */
const UNREADABLE: Readonly<Record<string, Partial<Message>>> = {
  'no cbor': { body: Uint8Array.of(0xff, 0xfe, 0x00) },
  'nothing at all': { body: new Uint8Array(0) },
  'a length beyond the body': { body: Uint8Array.of(0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) },
  'an array of four billion': { body: Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff) },
  'nested ten thousand deep': { body: new Uint8Array(10_000).fill(0x81) },
  'a record tag': { body: Uint8Array.of(0xd9, 0xdf, 0xff, 0x83, 0x19, 0xe0, 0x00, 0x81, 0x61, 0x61, 0x01) },
  'an unknown content type': { contentType: 'application/x-java-serialized-object' },
  'an unknown content encoding': { contentEncoding: 'zstd' },
  'another version of the wire': { headers: { 'rt-v': '0' } },
  'broken json': { contentType: 'application/json', body: new TextEncoder().encode('{"key":') },
}

claim('undecodable and hostile bytes are dead-lettered with the reason, and the worker goes on', async (t) => {
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.enter(key) })
  const adapter = await t.adapter()
  const messages = Object.values(UNREADABLE).map((more) =>
    requestOf({ ...more, headers: { 'rt-method': 'note', ...more.headers } }),
  )
  await publishAll(adapter, queueRef(), messages)
  const client = t.client()
  await client.service(probe).note.send({ key: 'good' })
  await eventually(() => t.ledger.runs('good') === 1)
  await eventually(async () => (await adapter.stats(queueRef())).dead === messages.length)
  const letters = await allOf(client.queue(probe).deadLetters.list())
  expect(letters.map(({ error }) => error.code)).toEqual(messages.map(() => 'INVALID_MESSAGE'))
  expect(letters.map(({ id }) => id).toSorted()).toEqual(messages.map(({ id }) => id).toSorted())
  for (const { reason } of letters) expect(reason.length).toBeGreaterThan(20)
  await isEmpty(adapter, queueRef())
  expect(t.ledger.keys).toEqual(['good'])
})

claim('an undecodable call is kept, and its caller is told', async (t) => {
  await t.serve(probe, { note: unused, work: unused })
  const adapter = await t.adapter()
  const replies: Reply[] = []
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, (reply) => void replies.push(reply))
  const message = callOf(null, { body: Uint8Array.of(0xff), replyTo: inbox.address })
  await publishAll(adapter, queueRef(), [message])
  const reply = await eventually(() => replies[0])
  expect(reply).toMatchObject({ correlationId: message.id, type: 'error' })
  expect(parseWireError(cborCodec.decode(reply.body))).toMatchObject({ code: 'INVALID_MESSAGE' })
  await eventually(async () => (await adapter.stats(queueRef())).dead === 1)
})

claim('headers of nonsense harm nobody', async (t) => {
  await t.serve(probe, { note: unused, work: ({ key }) => (t.ledger.enter(key), key) })
  const adapter = await t.adapter()
  const nonsense = ['', '-1', 'NaN', '1e9', '99999999999999999999', '0x10', '\0', 'ä'.repeat(2000)]
  const names = ['rt-deadline', 'rt-sent', 'rt-attempt', 'rt-depth', 'rt-history', 'rt-caller', 'rt-version', 'rt-host']
  const messages = nonsense.map((text, index) =>
    callOf({ key: `k${index}` }, { headers: Object.fromEntries(names.map((name) => [name, text])) }),
  )
  await publishAll(adapter, queueRef(), messages)
  await eventually(() => t.ledger.keys.length === nonsense.length)
  await isEmpty(adapter, queueRef())
})

claim('a method that the worker does not know: names that JavaScript knows are no exception', async (t) => {
  const worker = await t.serve(probe, { note: unused, work: unused })
  const adapter = await t.adapter()
  const replies: Reply[] = []
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, (reply) => void replies.push(reply))
  const names = ['constructor', '__proto__', 'toString', '', 'wörk', 'x'.repeat(5000), 'a.b/c\n']
  await publishAll(
    adapter,
    queueRef(),
    names.map((name) => callOf({ key: 'a' }, { replyTo: inbox.address, headers: { 'rt-method': name } })),
  )
  await eventually(() => replies.length === names.length)
  const codes = replies.map(({ body }) => parseWireError(cborCodec.decode(body)).code)
  expect(codes).toEqual(names.map(() => 'UNKNOWN_METHOD'))
  expect(worker.health().state).toBe('consuming')
})

claim('a handler that throws a string, nothing, or something that throws when it is looked at', async (t) => {
  const thrown = new Map<string, unknown>([
    ['string', 'just text'],
    ['undefined', undefined],
    ['null', null],
    [
      'hostile',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('do not look')
          },
          getPrototypeOf: () => {
            throw new Error('no')
          },
        },
      ),
    ],
  ])
  await t.serve(probe, {
    note: unused,
    work({ key }) {
      if (!thrown.has(key)) return key
      throw thrown.get(key)
    },
  })
  const stub = t.client().service(probe)
  for (const key of thrown.keys())
    expect(await errorOf(stub.work({ key }))).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
  expect(await stub.work({ key: 'fine' })).toBe('fine')
})

claim('a handler that throws after it reported progress: the caller has both', async (t) => {
  await t.serve(probe, {
    note: unused,
    work(_, ctx) {
      for (const done of [1, 2, 3]) ctx.progress(done)
      throw new Error('at the end')
    },
  })
  const call = t.client().service(probe).work.start({ key: 'a' })
  const outcome = call.outcome()
  expect(await allOf(call.progress)).toEqual([1, 2, 3])
  expect(await outcome).toMatchObject({ error: { code: 'HANDLER_FAILED', stage: 'running' } })
})

claim('a handler that never returns costs one slot and one time-out', async (t) => {
  await t.serve(probe, {
    note: unused,
    work: ({ key }) => (key === 'never' ? new Promise(() => {}) : key),
  })
  const stub = t.client().service(probe)
  const never = stub.work.start({ key: 'never' }, { timeoutMs: 800 })
  expect(await stub.work({ key: 'other' })).toBe('other')
  expect(await never.outcome()).toMatchObject({ error: { code: 'TIMEOUT', executed: 'unknown' } })
  expect(await stub.work({ key: 'again' })).toBe('again')
})

claim('headers of the caller travel whole; those of the library cannot be given', async (t) => {
  const headers = { 'x-user': 'grüße 日本語', 'X-Empty': '', '~a!': '"\\' }
  await t.serve(probe, { note: unused, work: (_, ctx) => ({ ...ctx.headers }) })
  const stub = t.client().service(probe)
  expect(await stub.work({ key: 'a' }, { headers })).toEqual(headers)
  expect((await errorOf(stub.work({ key: 'a' }, { headers: { 'rt-attempt': '9' } }))).code).toBe('CONFIG')
  expect((await errorOf(stub.work({ key: 'a' }, { headers: { 'x-large': 'x'.repeat(9000) } }))).code).toBe('CONFIG')
})

claim('values of every kind come back as they went', async (t) => {
  await t.serve(probe, { note: unused, work: ({ value }) => value })
  const stub = t.client().service(probe)
  const value = {
    date: new Date(1_700_000_000_123),
    big: 2n ** 70n,
    map: new Map<unknown, unknown>([
      [1, 'one'],
      ['two', [2]],
    ]),
    set: new Set(['a', 1]),
    bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
    text: 'grüße 日本語 🎉\0',
    numbers: [0, -1, 1.5, -1e300, NaN, Infinity, 2 ** 53 - 1],
    nothing: [null, undefined, '', [], {}],
  }
  expect(await stub.work({ key: 'a', value })).toEqual(value)
})
