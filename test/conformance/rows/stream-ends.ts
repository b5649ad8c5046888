import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { MAX_UNREAD_CHUNKS } from '../../../protocol/stream.ts'
import type { HandlerContext } from '../../../worker/types.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import { claimsOf } from '../case.ts'
import { queueRef } from '../case-context.ts'
import { aborted, callOf, errorOf } from '../probe.ts'

const { cases, claim } = claimsOf('streams')
/** How streams end that do not come to their own end. */
export const streamEnds = cases

const ticking = defineService('probe', {
  methods: {
    tick: method({ input: type<number>(), yields: type<number>() }),
    twice: method({ input: type<number>(), output: type<number>() }),
  },
})
const twice = (n: number): number => 2 * n

/** Yields its number once, then nothing until it is told to end. */
function tickOnce() {
  const seen = { begun: 0, ended: 0 }
  async function* tick(n: number, { signal }: HandlerContext): AsyncGenerator<number> {
    seen.begun++
    try {
      if (n > 0) yield n
      await aborted(signal)
    } finally {
      seen.ended++
    }
  }
  return { seen, tick }
}

claim('a reader that leaves before its first item ends the handler too', async (t) => {
  const { seen, tick } = tickOnce()
  await t.serve(ticking, { twice, tick })
  const reader = t.client().service(ticking).tick(1)[Symbol.asyncIterator]()
  await eventually(() => seen.begun === 1, { what: 'the handler runs' })
  expect(await reader.return?.()).toMatchObject({ done: true })
  await eventually(() => seen.ended === 1, { what: 'the handler has ended' })
  expect(await reader.next()).toMatchObject({ done: true })
})

claim('a reader that leaves while it waits for an item is let go at once', async (t) => {
  const { seen, tick } = tickOnce()
  await t.serve(ticking, { twice, tick })
  const reader = t.client().service(ticking).tick(1)[Symbol.asyncIterator]()
  expect(await reader.next()).toEqual({ done: false, value: 1 })
  const waiting = reader.next()
  expect(await Promise.race([reader.return?.(), sleep(5_000, 'held')])).toMatchObject({ done: true })
  expect(await waiting).toMatchObject({ done: true })
  await eventually(() => seen.ended === 1, { what: 'the handler has ended' })
})

/** A busy machine may take so long to begin a stream; what these cases are about comes later. */
const START_MS = 1_500

claim('a reader that leaves long after the deadline of the start ends the handler too', async (t) => {
  let isOver = false
  await t.serve(ticking, {
    twice,
    async *tick(_, { signal }) {
      for (let n = 0; !signal.aborted; n++) {
        yield n
        await sleep(50)
      }
      isOver = true
    },
  })
  const startedAt = performance.now()
  for await (const n of t.client().service(ticking).tick(1, { timeoutMs: START_MS }))
    if (n > 2 && performance.now() - startedAt > START_MS + 500) break
  await eventually(() => isOver, { what: 'the handler has ended' })
})

claim('a slow reader whose timeoutMs is short is not taken for gone', async (t) => {
  const items = 3 * MAX_UNREAD_CHUNKS
  const worker = await t.serve(ticking, {
    twice,
    async *tick() {
      for (let n = 0; n < items; n++) {
        yield n
        await new Promise((resolve) => setImmediate(resolve)) // a chunk for each
      }
    },
  })
  const read: number[] = []
  for await (const n of t.client().service(ticking).tick(1, { timeoutMs: START_MS })) {
    if (n === 0) await sleep(START_MS + 1_000)
    read.push(n)
  }
  expect(read).toEqual(Array.from({ length: items }, (_, n) => n))
  expect(worker.counters.streamsAbandoned ?? 0).toBe(0)
})

claim('its run is lost after something was read, and the deadline of its start is over: CRASHED', async (t) => {
  const wire = t.wire()
  await t.serve(
    ticking,
    {
      twice,
      async *tick(_, { signal }) {
        for (let n = 0; !signal.aborted; n++) {
          yield n
          await sleep(50)
        }
        throw signal.reason
      },
    },
    { wire },
  )
  const call = t.client().service(ticking).tick(1, { timeoutMs: START_MS })
  const startedAt = performance.now()
  let isCut = false
  const reading = (async () => {
    for await (const _ of call) {
      if (isCut || performance.now() - startedAt < START_MS + 200) continue
      isCut = true
      wire.faults.redeliver(call.id)
    }
  })()
  expect(await errorOf(reading)).toMatchObject({ code: 'CRASHED', executed: 'unknown', callId: call.id })
})

claim(
  'it ends long after the deadline of its start, while the broker takes nothing: its end comes later',
  async (t) => {
    const wire = t.wire()
    let isEnding = false
    await t.serve(
      ticking,
      {
        twice,
        async *tick() {
          for (let n = 0; n < 15; n++) {
            yield n
            await sleep(100)
          }
          wire.faults.block()
          isEnding = true
        },
      },
      { wire },
    )
    const reading = allOf(t.client().service(ticking).tick(1, { timeoutMs: 1_000 }))
    await eventually(() => isEnding, { what: 'it ends' })
    await sleep(300)
    wire.faults.unblock()
    expect(await reading).toHaveLength(15)
  },
)

claim('a stream takes one slot until it ends; calls beside it wait or run like beside a call', async (t) => {
  const { seen, tick } = tickOnce()
  const worker = await t.serve(ticking, { twice, tick }, { concurrency: 2 })
  const stub = t.client().service(ticking)
  const readers = [1, 2].map((n) => stub.tick(n)[Symbol.asyncIterator]())
  for (const reader of readers) await reader.next()
  expect(worker.health().queues[0]).toMatchObject({ running: 2 })
  const waits = stub.twice(21)
  await readers[0]?.return?.()
  expect(await waits).toBe(42)
  expect(seen.ended).toBe(1)
  await readers[1]?.return?.()
  await eventually(() => worker.health().queues[0]?.running === 0, { what: 'both slots are free' })
})

claim('calls made inside a generator are nested: they end with the stream', async (t) => {
  const ends: unknown[] = []
  const client = t.client()
  await t.serve(ticking, {
    twice: async (n, { signal }) => {
      if (n < 100) return twice(n)
      throw await aborted(signal)
    },
    async *tick(n) {
      const stub = client.service(ticking)
      yield await stub.twice(n)
      await stub.twice(100).catch((error: unknown) => ends.push(error))
    },
  })
  for await (const n of t.client().service(ticking).tick(4)) {
    expect(n).toBe(8)
    break
  }
  await eventually(() => ends.length === 1, { what: 'the nested call has ended' })
  expect(ends).toMatchObject([{ code: 'CANCELLED' }])
})

claim('a method that yields has no send, map or start; a plain call of it is refused', async (t) => {
  const { seen, tick } = tickOnce()
  await t.serve(ticking, { twice, tick })
  const stub = t.client().service(ticking)
  for (const name of ['send', 'sendMany', 'map', 'start', 'attach']) expect(name in stub.tick).toBe(false)
  const plain = defineService('probe', {
    methods: {
      tick: method({ input: type<number>(), output: type<number>() }),
      twice: method({ input: type<number>(), yields: type<number>() }),
    },
  })
  const mistaken = t.client().service(plain)
  const executed = t.capabilities.provesFirstDelivery ? 'no' : 'unknown'
  expect(await errorOf(mistaken.tick(1))).toMatchObject({ code: 'UNKNOWN_METHOD', executed })
  expect(await errorOf(allOf(mistaken.twice(1)))).toMatchObject({ code: 'UNKNOWN_METHOD', executed })
  expect(seen.begun).toBe(0)
})

claim('it is acked only when its end is stored', async (t) => {
  const wire = t.wire()
  let isRefusing = true
  wire.faults.plans.reply = ({ type: kind }) =>
    kind === 'end' && isRefusing ? { outcome: 'unknown', isStored: false } : undefined
  await t.serve(
    ticking,
    {
      twice,
      async *tick(n) {
        yield n
      },
    },
    { wire },
  )
  const adapter = await t.adapter()
  const queue = queueRef()
  const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, (_, done) => done())
  const message = callOf(7, { type: 'stream', replyTo: inbox.address, headers: { 'rt-method': 'tick' } })
  await adapter.publish(queue, [message])
  await eventually(() => wire.faults.events.of('reply', message.id).some(({ detail }) => detail === 'end'), {
    what: 'its end is on the way',
  })
  expect(await adapter.stats(queue)).toMatchObject({ active: 1 })
  isRefusing = false
  await eventually(async () => (await adapter.stats(queue)).active === 0, { what: 'it is acked' })
})

claim('nobody reads it and its worker is lost: it ends after a silence, and nothing of it is pending', async (t) => {
  const wire = t.wire()
  const { seen, tick } = tickOnce()
  await t.serve(ticking, { twice, tick }, { wire })
  const client = t.client()
  const call = client.service(ticking).tick(1, { timeoutMs: START_MS })
  await eventually(() => wire.faults.events.of('reply', call.id).some(({ detail }) => detail === 'chunk'), {
    what: 'a chunk',
  })
  wire.faults.disconnect()
  const startedAt = performance.now()
  await client.close({ graceMs: 8_000 })
  expect(performance.now() - startedAt).toBeLessThan(6_000)
  expect(seen.begun).toBe(1)
})
