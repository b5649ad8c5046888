// A bounded number of seeded rounds: random bytes and valid messages that were changed, through decoder, worker and client.
import { expect, test } from 'vitest'
import { createClient } from '../../client/index.ts'
import { connect } from '../../broker-adapters/connect.ts'
import { defineService, method, type } from '../../contract/index.ts'
import { queueOf } from '../../contract/service-facts.ts'
import { cborCodec } from '../../protocol/codec-cbor.ts'
import { jsonCodec } from '../../protocol/codec-json.ts'
import { CodecError } from '../../protocol/encodable.ts'
import { newCallId } from '../../protocol/ids.ts'
import type { Message, Reply } from '../../protocol/message.ts'
import { buildWorker } from '../../worker/create-worker.ts'
import { resolveWorkerOptions } from '../../worker/options.ts'
import { allOf } from '../support/eventually.ts'

const SEED = 20_261_123
const DECODED = 20_000
const REQUESTS = 1_500
const REPLIES = 1_500
const LIMIT = 4_000

/** mulberry32: the same numbers in every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below) | 0
  }
}
const pick = <T>(random: (below: number) => number, values: readonly T[]): T => values[random(values.length)] as T // not empty

const VALUES: readonly unknown[] = [
  { n: 1, text: 'grüße', list: [1, 2, 3], deep: { a: { b: [null, true] } } },
  new Map<unknown, unknown>([[1, new Set(['a'])]]),
  [new Date(0), 2n ** 80n, Uint8Array.of(1, 2, 3), NaN, undefined],
  {
    code: 'EXPIRED',
    message: 'x',
    executed: 'no',
    retryable: true,
    attempts: 2,
    issues: [{ message: 'm', path: ['a'] }],
  },
]
const SEEDS = VALUES.map((value) => cborCodec.encode(value))

function bytesOf(random: (below: number) => number): Uint8Array {
  const kind = random(4)
  if (kind === 0) return Uint8Array.from({ length: random(80) }, () => random(256))
  if (kind === 1) return pick(random, SEEDS)
  const bytes = [...pick(random, SEEDS)]
  for (let left = 1 + random(4); left > 0; left--) {
    const at = random(bytes.length + 1)
    const act = random(4)
    if (act === 0) bytes[at] = random(256)
    else if (act === 1) bytes.splice(at, random(8))
    else if (act === 2) bytes.splice(at, 0, ...Array.from({ length: random(8) }, () => random(256)))
    else bytes.push(...pick(random, SEEDS).subarray(0, random(20)))
  }
  return Uint8Array.from(bytes)
}
const TEXTS = [
  '',
  '0',
  '1',
  '-1',
  '33',
  'NaN',
  '1e308',
  '999999999999999',
  '9999999999999999',
  '__proto__',
  'constructor',
  'a\r\nb',
  '\0',
  'ü',
  'x'.repeat(3_000),
]
const NAMES = [
  'rt-v',
  'rt-method',
  'rt-version',
  'rt-deadline',
  'rt-sent',
  'rt-host',
  'rt-attempt',
  'rt-depth',
  'rt-history',
  'rt-ran',
  'rt-resent',
  'rt-given',
  'rt-solo',
  'rt-seq',
  '__proto__',
  'x',
]
function headersOf(random: (below: number) => number, valid: Record<string, string>): Record<string, string> {
  const headers = { ...valid }
  for (let left = random(4); left > 0; left--) headers[pick(random, NAMES)] = pick(random, TEXTS)
  return headers
}
const TYPES = [
  'application/cbor',
  'application/cbor',
  'application/cbor',
  'application/json',
  'text/plain',
  '',
  '__proto__',
]
const envelopeOf = (random: (below: number) => number) => ({
  contentType: pick(random, TYPES),
  contentEncoding: random(8) === 0 ? pick(random, TEXTS) : undefined,
  body: bytesOf(random),
})

const service = defineService('fuzzed', {
  methods: {
    echo: method({ input: type<unknown>(), output: type<unknown>(), progress: type<unknown>() }),
    note: method({ input: type<unknown>(), oneWay: true, retry: { attempts: 1 } }),
  },
})

test('any bytes are read as a value, or refused with a CodecError', () => {
  const random = randomOf(SEED)
  let refused = 0
  for (let round = 0; round < DECODED; round++) {
    const bytes = bytesOf(random)
    for (const codec of [cborCodec, jsonCodec]) {
      try {
        codec.decode(bytes)
      } catch (error) {
        if (!(error instanceof CodecError)) throw error
        refused++
      }
    }
  }
  expect(refused).toBeGreaterThan(DECODED)
  expect(refused).toBeLessThan(2 * DECODED)
  expect(Object.keys({})).toEqual([])
})

test('a worker settles every message, whatever it is, and serves on', async () => {
  const random = randomOf(SEED + 1)
  const broker = await connect(`memory:${crypto.randomUUID()}`, { log: () => {}, maxPayloadBytes: LIMIT })
  // What looks newer than the worker is held for newer ones; here not for long.
  const worker = buildWorker({
    broker,
    isOwned: false,
    options: resolveWorkerOptions({ concurrency: 50 }),
    tuning: { newerHoldMs: 1, newerWorkerMs: 20 },
  })
  await worker.serve(service, { echo: (input) => input, note: () => {} }).start()
  const adapter = await broker['~core'].adapter
  const queue = queueOf(service, 'default')
  for (let round = 0; round < REQUESTS; round++) {
    const message: Message = {
      id: random(10) === 0 ? pick(random, TEXTS) : newCallId(),
      type: pick(random, ['call', 'send', 'send', 'stream']),
      replyTo: random(3) === 0 ? pick(random, ['replyto.in.nobody', 'other.in.x', ...TEXTS]) : undefined,
      headers: headersOf(random, { 'rt-method': pick(random, ['echo', 'note', 'note']) }),
      ...envelopeOf(random),
    }
    await adapter.publish(queue, [message])
  }
  await expect
    .poll(
      async () => {
        const { ready, active = 0, delayed = 0 } = await adapter.stats(queue)
        return ready + active + delayed
      },
      { timeout: 15_000 },
    )
    .toBe(0)
  const client = createClient(broker)
  expect(await client.service(service).echo('still there')).toBe('still there')
  const letters = await allOf(client.queue(service).deadLetters.list())
  expect(letters.length).toBeGreaterThan(REQUESTS / 10)
  expect(worker.counters['completed']).toBeGreaterThan(REQUESTS / 100)
  await broker.close({ graceMs: 0 })
}, 30_000)

test('a client ends every call that was answered, whatever the answer is', async () => {
  const random = randomOf(SEED + 2)
  const broker = await connect(`memory:${crypto.randomUUID()}`, { log: () => {}, maxPayloadBytes: LIMIT })
  const client = createClient(broker)
  const adapter = await broker['~core'].adapter
  const queue = queueOf(service, 'default')
  await adapter.declare(queue)
  await adapter.consume(queue, { prefetch: 100 }, (delivery) => {
    const { message } = delivery
    const replies: Reply[] = Array.from({ length: 1 + random(3) }, () => ({
      correlationId: random(5) === 0 ? pick(random, TEXTS) : message.id,
      type: pick(random, ['result', 'error', 'progress', 'chunk', 'end']),
      headers: headersOf(random, { 'rt-v': '1' }),
      ...envelopeOf(random),
    }))
    const last = { correlationId: message.id, type: 'result', headers: {}, contentType: 'application/cbor' } as const
    replies.push({ ...last, contentEncoding: undefined, body: cborCodec.encode('at last') })
    void adapter.reply(message.replyTo ?? '', replies)
    delivery.ack()
  })
  const ends = new Map<string, number>()
  for (let begun = 0; begun < REPLIES; begun += 100) {
    const calls = Array.from({ length: 100 }, () => client.service(service).echo.start(1, { timeoutMs: 20_000 }))
    for (const outcome of await Promise.all(calls.map((call) => call.outcome()))) {
      const end = outcome.status === 'ok' ? 'ok' : outcome.error.code
      ends.set(end, (ends.get(end) ?? 0) + 1)
    }
  }
  expect(ends.get('TIMEOUT')).toBeUndefined()
  expect(ends.get('ok')).toBeGreaterThan(REPLIES / 10)
  expect(ends.get('INVALID_MESSAGE')).toBeGreaterThan(REPLIES / 10)
  await client.close({ graceMs: 0 })
  await broker.close({ graceMs: 0 })
}, 30_000)
