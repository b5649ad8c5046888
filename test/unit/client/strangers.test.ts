import { expect, test } from 'vitest'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import type { Reply } from '../../../protocol/message.ts'
import { createClient } from '../../../client/index.ts'
import { errorOf } from '../../support/scripted-client.ts'
import { connect } from '../../../broker-adapters/connect.ts'
import { consumeEcho, echo } from './raw-worker.ts'

const LONG = 'x'.repeat(100_000)
const wire = (value: unknown): Partial<Reply> => ({ type: 'error', body: cborCodec.encode(value) })

/** What a stranger answers; by the name of the bound in docs/protocol.md. Each has to end the call. */
const FINAL: readonly (readonly [string, string, Partial<Reply>, object])[] = [
  ['reply', 'no CBOR', { body: Uint8Array.of(0xff) }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'nothing', { body: new Uint8Array() }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'deep', { body: new Uint8Array(500).fill(0x81) }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'a record', { body: Uint8Array.of(0xd9, 0xdf, 0xff, 0x80) }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  [
    'reply',
    'larger than maxPayloadBytes',
    { body: cborCodec.encode(LONG) },
    { code: 'INVALID_MESSAGE', executed: 'yes' },
  ],
  ['reply', 'another version', { headers: { 'rt-v': '2' } }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'another content type', { contentType: LONG }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'another encoding', { contentEncoding: 'gzip' }, { code: 'INVALID_MESSAGE', executed: 'yes' }],
  ['reply', 'the end of a stream', { type: 'end' }, { code: 'INVALID_MESSAGE' }],
  ['reply', 'no headers', { headers: null as never }, { code: 'INVALID_MESSAGE' }],
  ['reply', 'no content type', { contentType: undefined as never }, { code: 'INVALID_MESSAGE' }],
  ['error', 'null', wire(null), { code: 'INVALID_MESSAGE', executed: 'unknown' }],
  ['error', 'a text', wire('x'), { code: 'INVALID_MESSAGE', executed: 'unknown' }],
  ['error', 'no code', wire({ message: 'x' }), { code: 'INVALID_MESSAGE', executed: 'unknown' }],
  ['error', 'a code of JavaScript', wire({ code: 'constructor' }), { code: 'HANDLER_FAILED', executed: 'unknown' }],
  ['error', 'a code like __proto__', wire({ code: '__proto__' }), { code: 'HANDLER_FAILED', executed: 'unknown' }],
  ['error', 'long texts', wire({ code: 'x'.repeat(1_000), message: 'x'.repeat(1_000) }), { code: 'HANDLER_FAILED' }],
  [
    'error',
    'absurd facts',
    wire({ code: 'EXPIRED', executed: 'maybe', retryable: 'x', attempts: -1e308, issues: 5 }),
    { code: 'EXPIRED', executed: 'unknown', attempts: 1 },
  ],
  [
    'error',
    'a thousand issues',
    wire({ code: 'EXPIRED', issues: Array.from({ length: 60 }, () => ({ message: 'x', path: [{}, 1] })) }),
    { code: 'EXPIRED', issues: Array.from({ length: 50 }, () => ({ message: 'x', path: [1] })) },
  ],
  ['error', 'data that does not fit', wire({ code: 'BUSY', data: 5 }), { code: 'BUSY' }],
]

async function withStranger(
  act: (
    answer: (more: Partial<Reply>) => Promise<void>,
    promise: Promise<unknown>,
    client: ReturnType<typeof createClient>,
  ) => Promise<void>,
): Promise<void> {
  const broker = await connect(`memory:${crypto.randomUUID()}`, { maxPayloadBytes: 3_000, log: () => {} })
  const client = createClient(broker)
  try {
    const adapter = await broker['~core'].adapter
    const promise = client.service(echo).say(1, { timeoutMs: 5_000 })
    const delivery = await new Promise<Parameters<Parameters<typeof consumeEcho>[1]>[0]>(
      (resolve) => void consumeEcho(broker, resolve),
    )
    const { id, replyTo = '' } = delivery.message
    await act(
      async (more) => {
        const reply = {
          correlationId: id,
          type: 'result',
          contentType: cborCodec.contentType,
          contentEncoding: undefined,
          headers: {},
          body: cborCodec.encode('ok'),
          ...more,
        }
        await adapter.reply(replyTo, [reply as Reply])
      },
      promise,
      client,
    )
    delivery.ack()
  } finally {
    await client.close({ graceMs: 0 })
    await broker.close({ graceMs: 0 })
  }
}

test.each(FINAL)('bound: %s: %s', async (_bound, _what, more, expected) => {
  await withStranger(async (answer, promise) => {
    const failed = errorOf(promise)
    await answer(more)
    const error = await failed
    expect(error).toMatchObject(expected)
    expect(error.message.length).toBeLessThan(5_000)
  })
})

test('bound: correlation id: a reply that belongs to no call is counted', async () => {
  await withStranger(async (answer, promise, client) => {
    const ids = ['', 'x', LONG, '__proto__', 'a\nb', 5, null, undefined, {}]
    for (const correlationId of ids) await answer({ correlationId: correlationId as never })
    await answer({})
    expect(await promise).toBe('ok')
    await answer({})
    await expect.poll(() => client.counters).toMatchObject({ foreignReplies: ids.length, lateReplies: 1 })
  })
})

test('bound: reply type: what is not known does not end the call, nor does a wrong progress', async () => {
  await withStranger(async (answer, promise) => {
    for (const type of ['', 'bogus', 'chunk', '__proto__', 5, null, undefined]) await answer({ type: type as never })
    for (const sequence of ['', '-1', 'NaN', '1e308', '9'.repeat(15), LONG])
      await answer({ type: 'progress', headers: { 'rt-seq': sequence, 'rt-attempt': sequence } })
    await answer({ type: 'progress', body: Uint8Array.of(0xff) })
    await answer({ type: 'progress', headers: null as never })
    await answer({ headers: { 'rt-attempt': '9'.repeat(15), 'rt-seq': 'x', 'rt-worker': LONG } })
    expect(await promise).toBe('ok')
  })
})
