import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import type { Middleware } from '../../../protocol/middleware.ts'
import { MAX_UNREAD_CHUNKS } from '../../../protocol/stream.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aNumber, aString, objectOf } from '../schemas.ts'
import { aborted, callOf, errorOf, unused } from '../probe.ts'

const { cases, claim } = claimsOf('streams')
export const streams = cases

const counting = defineService('probe', {
  methods: {
    count: method({
      input: type<{ to: number; failAt?: number }>(),
      yields: objectOf<{ n: number; text?: string }, { n: number; text: string }>({
        n: aNumber,
        text: (text) => (text === undefined ? '' : aString(text)),
      }),
      errors: { STOPPED: type<{ at: number }>() },
    }),
    note: method({ input: type<unknown>(), oneWay: true }),
  },
})

/** Items 0 to n - 1; a turn of the event loop now and then, so that they come in several chunks. */
async function* count(to: number): AsyncGenerator<{ n: number }> {
  for (let n = 0; n < to; n++) {
    if (n % 100 === 0) await sleep(0)
    yield { n }
  }
}
const numbers = (to: number): number[] => Array.from({ length: to }, (_, n) => n)
const readAll = async (items: AsyncIterable<{ n: number }>): Promise<number[]> => (await allOf(items)).map(({ n }) => n)

claim('items come in order, each once, through the schema, and then it ends', async (t) => {
  await t.serve(counting, { note: unused, count: ({ to }) => count(to) })
  const stub = t.client().service(counting)
  const items = await allOf(stub.count({ to: 2_000 }))
  expect(items.map(({ n }) => n)).toEqual(numbers(2_000))
  expect(items[0]).toEqual({ n: 0, text: '' })
  expect(await readAll(stub.count({ to: 0 }))).toEqual([])
})

claim('a reader that does not read holds the handler up: little is made ahead', async (t) => {
  let made = 0
  await t.serve(counting, {
    note: unused,
    async *count({ to }) {
      for (let n = 0; n < to; n++) {
        made++
        yield { n, text: 'x'.repeat(4_000) }
        await sleep(0)
      }
    },
  })
  const call = t.client().service(counting).count({ to: 100_000 })
  const reader = call[Symbol.asyncIterator]()
  await reader.next()
  await eventually(() => made > 1, { what: 'items are made ahead' })
  let before = -1
  while (before !== made) {
    before = made
    await sleep(100)
  }
  expect(made).toBeLessThan(3 * MAX_UNREAD_CHUNKS)
  await reader.return?.()
})

claim('a handler that throws half-way: the items before it are read, then its error', async (t) => {
  await t.serve(counting, {
    note: unused,
    async *count({ to, failAt = 0 }, ctx) {
      for await (const item of count(to)) {
        if (item.n === failAt) throw ctx.fail('STOPPED', { at: failAt })
        yield item
      }
    },
  })
  const stub = t.client().service(counting)
  const read: number[] = []
  const reading = (async () => {
    for await (const { n } of stub.count({ to: 500, failAt: 300 })) read.push(n)
  })()
  const error = await errorOf(reading)
  expect(error).toMatchObject({ code: 'STOPPED', data: { at: 300 }, executed: 'yes' })
  expect(stub.count.isDeclaredError(error)).toBe(true)
  expect(read).toEqual(numbers(300))
  expect(await errorOf(readAll(stub.count({ to: 5, failAt: 0 })))).toMatchObject({ code: 'STOPPED', data: { at: 0 } })
})

claim('a reader that leaves the loop ends the handler: its finally runs and its slot is free', async (t) => {
  let isOver = false
  let reason: unknown
  const worker = await t.serve(
    counting,
    {
      note: unused,
      async *count(_, ctx) {
        try {
          for (let n = 0; ; n++) {
            if (n === 10) reason = await aborted(ctx.signal)
            if (ctx.signal.aborted) return
            yield { n }
          }
        } finally {
          isOver = true
        }
      },
    },
    { concurrency: 1 },
  )
  for await (const { n } of t.client().service(counting).count({ to: 0 })) if (n === 3) break
  await eventually(() => isOver, { what: 'the handler has ended' })
  expect(reason).toMatchObject({ code: 'CANCELLED' })
  await eventually(() => worker.health().queues[0]?.running === 0, { what: 'the slot is free' })
  await eventually(() => worker.counters.cancelled === 1, { what: 'it is settled' })
})

claim('an aborted signal and cancel() end the reader with CANCELLED', async (t) => {
  await t.serve(counting, {
    note: unused,
    async *count(_, ctx) {
      yield { n: 0 }
      await aborted(ctx.signal)
    },
  })
  const stub = t.client().service(counting)
  const controller = new AbortController()
  const [bySignal, byCall] = [stub.count({ to: 1 }, { signal: controller.signal }), stub.count({ to: 1 })]
  for (const [call, end] of [
    [bySignal, () => controller.abort()],
    [byCall, () => byCall.cancel('enough')],
  ] as const) {
    const reader = call[Symbol.asyncIterator]()
    expect(await reader.next()).toMatchObject({ done: false })
    end()
    expect(await errorOf(reader.next())).toMatchObject({ code: 'CANCELLED' })
  }
})

claim('nobody serves it: TIMEOUT at the deadline; once it has begun, a silence of that length', async (t) => {
  const client = t.client()
  await client.ready()
  const stub = client.service(counting)
  expect(await errorOf(readAll(stub.count({ to: 1 }, { timeoutMs: 300 })))).toMatchObject({ code: 'TIMEOUT' })
  await t.serve(counting, {
    note: unused,
    async *count(_, ctx) {
      // Many times before the silence is over, so that a busy machine does not make one of a pause.
      for (let n = 0; n < 16; n++) {
        yield { n }
        await sleep(150)
      }
      await aborted(ctx.signal)
    },
  })
  const read: number[] = []
  const reading = (async () => {
    for await (const { n } of stub.count({ to: 1 }, { timeoutMs: 2_000 })) read.push(n)
  })()
  const error = await errorOf(reading)
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'unknown' })
  expect(error.message).toContain('said nothing for 2000 ms')
  expect(read).toEqual(Array.from({ length: 16 }, (_, n) => n)) // they took longer than 2,000 ms in all
})

claim('a reader that is gone without a word is given up after a silence', async (t) => {
  const worker = await t.serve(counting, {
    note: unused,
    async *count() {
      for (let n = 0; ; n++) {
        yield { n, text: 'x'.repeat(10_000) }
        await sleep(0)
      }
    },
  })
  const adapter = await t.adapter()
  const queue = queueRef()
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: unused }, (_, done) => done())
  const headers = { 'rt-method': 'count', 'rt-silence': '400', 'rt-deadline': String(Date.now() + 60_000) }
  await adapter.publish(queue, [callOf({ to: 1 }, { type: 'stream', replyTo: inbox.address, headers })])
  await eventually(() => worker.counters.streamsAbandoned === 1, { what: 'it is given up' })
  await eventually(async () => (await adapter.stats(queue)).active === 0, { what: 'it is settled' })
})

claim(
  'chunks that come twice, or in another order, are read once and in order; what never comes is a silence',
  async (t) => {
    const adapter = await t.adapter()
    const queue = queueRef()
    await adapter.declare(queue)
    const order = [1, 1, 0, 2, 0, 3]
    await adapter.consume(queue, { prefetch: 5 }, (delivery) => {
      const { id, replyTo = '', contentType } = delivery.message
      const more = { correlationId: id, contentType, contentEncoding: undefined }
      const chunks = order.map((n) => ({
        ...more,
        type: 'chunk' as const,
        headers: { 'rt-run': 'r1', 'rt-seq': String(n) },
        body: cborCodec.encode([{ n, text: '' }]),
      }))
      const isWhole = delivery.message.headers['x-whole'] === 'yes'
      const end = { ...more, type: 'end' as const, headers: { 'rt-run': 'r1', 'rt-seq': isWhole ? '4' : '5' } }
      void adapter.reply(replyTo, [{ ...end, body: new Uint8Array(0) }, ...chunks]).then(() => delivery.ack())
    })
    const stub = t.client().service(counting)
    expect(await readAll(stub.count({ to: 1 }, { headers: { 'x-whole': 'yes' } }))).toEqual(numbers(4))
    const error = await errorOf(readAll(stub.count({ to: 1 }, { timeoutMs: 1_500 })))
    expect(error.message).toContain('said nothing for 1500 ms')
  },
)

claim('its run is lost before anything was read: another one is read instead', async (t) => {
  const wire = t.wire()
  let runs = 0
  await t.serve(
    counting,
    {
      note: unused,
      async *count(_, ctx) {
        const run = ++runs
        for (let n = 0; n < 3; n++) yield { n: 10 * run + n }
        if (run === 1) throw await aborted(ctx.signal)
      },
    },
    { wire },
  )
  const call = t.client().service(counting).count({ to: 1 })
  await eventually(() => wire.faults.events.of('reply', call.id).some(({ detail }) => detail === 'chunk'), {
    what: 'a chunk',
  })
  wire.faults.redeliver(call.id)
  await eventually(() => runs === 2, { what: 'the second run' })
  await eventually(() => wire.faults.events.of('reply', call.id).some(({ detail }) => detail === 'end'), {
    what: 'its end',
  })
  await sleep(50)
  expect(await readAll(call)).toEqual([20, 21, 22])
})

claim('its run is lost after something was read: CRASHED, and no further run goes on for nobody', async (t) => {
  const wire = t.wire()
  let runs = 0
  const worker = await t.serve(
    counting,
    {
      note: unused,
      async *count(_, ctx) {
        const run = ++runs
        for (let n = 0; n < 3; n++) yield { n: 10 * run + n }
        throw await aborted(ctx.signal)
      },
    },
    { wire },
  )
  const call = t.client().service(counting).count({ to: 1 })
  const read: number[] = []
  const reading = (async () => {
    for await (const { n } of call) {
      read.push(n)
      if (read.length === 3) wire.faults.redeliver(call.id)
    }
  })()
  expect(await errorOf(reading)).toMatchObject({ code: 'CRASHED', executed: 'unknown' })
  expect(read).toEqual([10, 11, 12])
  expect(runs).toBe(2)
  await eventually(() => worker.health().queues[0]?.running === 0, { what: 'the second run has ended' })
})

claim('an item that cannot be: does not fit, cannot be encoded, is too large; no AsyncIterable at all', async (t) => {
  const loose = defineService('probe', {
    methods: { count: method({ input: type<unknown>(), yields: type<unknown>() }), note: counting.methods.note },
  })
  const made: Record<string, unknown> = {
    misfit: { n: 'no number' },
    function: { n: 1, text: unused },
    large: { n: 1, text: 'x'.repeat(1_100_000) },
  }
  await t.serve(loose, {
    note: unused,
    count(input) {
      if (input === 'nothing') return undefined as unknown as AsyncIterable<unknown>
      return (async function* () {
        yield { n: 0 }
        yield made[String(input)]
      })()
    },
  })
  const stub = t.client({ validate: 'receiver' }).service(loose)
  expect(await errorOf(allOf(stub.count('nothing')))).toMatchObject({ code: 'INVALID_OUTPUT' })
  expect(await errorOf(allOf(stub.count('function')))).toMatchObject({ code: 'INVALID_OUTPUT', executed: 'yes' })
  expect(await errorOf(allOf(stub.count('large')))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'yes' })
  const strict = t.client().service(counting)
  const error = await errorOf(allOf(strict.count('misfit' as unknown as { to: number })))
  expect(error).toMatchObject({ code: 'INVALID_OUTPUT' })
})

claim('middleware of both sides may change the items; what it throws is the end', async (t) => {
  const double: Middleware = async (call, next) => {
    if (call.kind !== 'stream') return next()
    const items = (await next()) as AsyncIterable<{ n: number }> // of a stream
    return (async function* () {
      for await (const item of items) yield { ...item, n: 2 * item.n }
    })()
  }
  await t.serve(counting, { note: unused, count: ({ to }) => count(to) }, { middleware: [double] })
  const stub = t.client({ middleware: [double] }).service(counting)
  expect(await readAll(stub.count({ to: 3 }))).toEqual([0, 4, 8])
  const refusing = t.client({ middleware: [() => Promise.reject(new Error('not today'))] }).service(counting)
  await expect(allOf(refusing.count({ to: 3 }))).rejects.toThrow('not today')
})

claim('a stream under way when its worker drains ends there; the reader is told', async (t) => {
  const worker = await t.serve(counting, {
    note: unused,
    async *count(_, ctx) {
      yield { n: 0 }
      await aborted(ctx.signal)
      throw new Error('told to end')
    },
  })
  const reader = t.client().service(counting).count({ to: 1 }, { timeoutMs: 1_500 })[Symbol.asyncIterator]()
  await reader.next()
  await worker.close({ graceMs: 100 })
  expect(await errorOf(reader.next())).toMatchObject({ executed: 'unknown' })
})

claim('the broker goes and comes back in the middle: nothing is missing', async (t) => {
  const wire = t.wire()
  await t.serve(counting, {
    note: unused,
    async *count({ to }) {
      for (let n = 0; n < to; n++) {
        yield { n }
        if (n % 10 === 0) await sleep(5)
      }
    },
  })
  const read: number[] = []
  const call = t.client({ wire }).service(counting).count({ to: 600 })
  for await (const { n } of call) {
    read.push(n)
    if (n === 200) {
      wire.faults.disconnect()
      setTimeout(() => void wire.faults.reconnect(), 100)
    }
  }
  expect(read).toEqual(numbers(600))
})

claim('a hundred streams at once do not mix', async (t) => {
  await t.serve(counting, { note: unused, count: ({ to }) => count(to) }, { concurrency: 100 })
  const stub = t.client().service(counting)
  const all = await Promise.all(numbers(100).map((n) => readAll(stub.count({ to: 3 * n }))))
  expect(all.map((read) => read.length)).toEqual(numbers(100).map((n) => 3 * n))
  for (const read of all) expect(read).toEqual(numbers(read.length))
})

claim('a stream that nobody reads rejects nothing and is given up', async (t) => {
  const worker = await t.serve(counting, {
    note: unused,
    async *count() {
      for (let n = 0; ; n++) {
        yield { n, text: 'x'.repeat(20_000) }
        await sleep(0)
      }
    },
  })
  const call = t.client().service(counting).count({ to: 1 }, { timeoutMs: 1_500 })
  await eventually(() => worker.counters.streamsAbandoned === 1, { what: 'it is given up' })
  const error = await errorOf(readAll(call))
  expect(error).toMatchObject({ code: 'TIMEOUT', stage: 'running' }) // nobody cancelled it
  expect(error.message).toContain('nobody read probe.count')
})
