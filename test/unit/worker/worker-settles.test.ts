import { describe, expect, it } from 'vitest'
import type { BrokerAdapter } from '../../../broker-adapters/adapter.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { encodeCancel } from '../../../protocol/cancel-message.ts'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Message } from '../../../protocol/message.ts'
import { cancelTopic, helloTopic } from '../../../protocol/queue-names.ts'
import { parseWireError } from '../../../protocol/wire-errors.ts'
import type { HandlerContext } from '../../../worker/index.ts'
import { until } from './support/caller.ts'
import { deferred, type Deferred } from './support/deferred.ts'
import { fakeDelivery, fakeMessage, handFed, type FakeDelivery } from './support/fake-delivery.ts'
import { runWorker, type RunOptions } from './support/run-worker.ts'

const svc = defineService('svc', {
  methods: {
    wait: method({ output: type<string>() }),
    slow: method({ output: type<string>() }),
    flaky: method({ output: type<string>(), retry: { attempts: 3, minDelayMs: 4000, maxDelayMs: 4000 } }),
    limited: method({ output: type<string>(), attemptTimeoutMs: 20, retry: { attempts: 2, minDelayMs: 0 } }),
    note: method({ oneWay: true }),
  },
})
const QUEUE = 'replyto.q.default.svc.v1'

interface Run {
  readonly ctx: HandlerContext
  readonly end: Deferred<string | Error>
}

async function start(more: RunOptions<typeof svc> & Partial<Pick<BrokerAdapter, 'reply' | 'park'>> = {}) {
  const runs: Run[] = []
  const fed = handFed(more.reply)
  const handler = async (_input: void, ctx: HandlerContext): Promise<string> => {
    const run = { ctx, end: deferred<string | Error>() }
    runs.push(run)
    const value = await run.end.promise
    if (value instanceof Error) throw value
    return value
  }
  const running = await runWorker(
    svc,
    {
      wait: handler,
      slow: handler,
      flaky: handler,
      limited: handler,
      note: async (input, ctx) => void (await handler(input, ctx)),
    },
    { ...more, bend: (adapter) => ({ ...fed.bend(adapter), ...(more.park && { park: more.park }) }) },
  )
  const hand = (message: Message, options: Parameters<typeof fakeDelivery>[1] = {}): FakeDelivery => {
    const delivery = fakeDelivery(message, options)
    fed.hand(delivery)
    return delivery
  }
  const run = async (index: number): Promise<Run> => {
    await until(() => runs.length > index, `run ${index} begins`)
    const found = runs[index]
    if (found === undefined) throw new Error('no such run')
    return found
  }
  return { ...running, hand, run, runs, paused: fed.paused }
}

/** Collects what is replied; the fates are told one by one, then 'stored'. */
function replies(fates: ('stored' | 'gone' | 'unknown')[] = [], journal: string[] = []) {
  const seen: { id: string; code: string; executed: string }[] = []
  const reply: BrokerAdapter['reply'] = async (_address, batch) =>
    batch.map((one) => {
      const fate = fates.shift() ?? 'stored'
      const error = one.type === 'error' ? parseWireError(cborCodec.decode(one.body)) : undefined
      seen.push({ id: one.correlationId, code: error?.code ?? one.type, executed: error?.executed ?? 'yes' })
      journal.push(`reply ${fate}`)
      return fate
    })
  return { seen, reply, journal }
}

describe('invariants', () => {
  it('reply confirmed before ack', async () => {
    const { reply, journal } = replies(['unknown', 'unknown'])
    await using worker = await start({ reply })
    const delivery = worker.hand(fakeMessage('wait'), { journal })
    ;(await worker.run(0)).end.resolve('done')
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(journal).toEqual(['reply unknown', 'reply unknown', 'reply stored', 'ack'])
    expect(worker.worker.counters).toMatchObject({ repliesResent: 2, completed: 1 })
  })

  it('reply confirmed before ack: not acked while the broker does not say so, given back at the end', async () => {
    const never: BrokerAdapter['reply'] = () => new Promise(() => {})
    const worker = await start({ reply: never })
    const delivery = worker.hand(fakeMessage('wait'))
    ;(await worker.run(0)).end.resolve('done')
    await until(() => worker.worker.health().queues[0]?.running === 0, 'the handler ended')
    expect(delivery.settlements).toEqual([])
    await worker.worker.close({ graceMs: 10 })
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(delivery.settlements).toEqual(['release'])
    await worker.broker.close()
  })

  it('reply confirmed before ack: a call that is kept too is parked first, however often that takes', async () => {
    const { reply, journal } = replies()
    let isParked = false
    await using worker = await start({
      reply,
      random: () => 0,
      park: async () => {
        journal.push(isParked ? 'parked' : 'not parked')
        if (isParked) return
        isParked = true
        throw new Error('away')
      },
    })
    const delivery = worker.hand(fakeMessage('flaky', { headers: { [HEADER.attempt]: '3' } }), { journal })
    ;(await worker.run(0)).end.resolve(new Error('x'))
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(journal).toEqual(['not parked', 'parked', 'reply stored', 'ack'])
    expect(worker.worker.counters).toEqual({ failed: 1, deadLettered: 1 })
  })

  it('each delivery settled exactly once', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply, options: { concurrency: 3, prefetch: 50 }, random: () => 0.5 })
    const deliveries: FakeDelivery[] = []
    const ends = ['ok', new Error('x'), 'ok']
    for (let i = 0; i < 30; i++) {
      const name = ['wait', 'flaky', 'note', 'nope'][i % 4] ?? ''
      const message = fakeMessage(name, name === 'note' ? { type: 'send' } : {})
      deliveries.push(worker.hand(message))
      if (i % 5 === 0) deliveries.push(worker.hand(message, { redelivered: true }))
      if (i % 7 === 0)
        worker.caller.adapter.broadcast(
          cancelTopic(QUEUE),
          encodeCancel({ ids: [message.id], until: Date.now() + 1000 }),
        )
    }
    for (let i = 0; i < 12; i++) (await worker.run(i)).end.resolve(ends[i % 3] ?? 'ok')
    const closed = worker.worker.close()
    for (const run of worker.runs) run.end.resolve('ok')
    await closed
    expect(deliveries.filter((delivery) => delivery.settlements.length !== 1)).toEqual([])
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
  })
})

describe('duplicates', () => {
  it('of a running call are settled with it; of a finished one acked', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply })
    const message = fakeMessage('wait')
    const first = worker.hand(message)
    const copy = worker.hand(message)
    ;(await worker.run(0)).end.resolve('done')
    await until(() => first.settlements.length > 0, 'it is settled')
    const late = worker.hand(message, { redelivered: true })
    expect([first, copy, late].map(({ settlements }) => settlements)).toEqual([['ack'], ['ack'], ['ack']])
    expect(worker.runs).toHaveLength(1)
    expect(seen).toHaveLength(1)
    expect(worker.worker.counters).toMatchObject({ duplicates: 2, completed: 1 })
  })

  it('take the place of a lost delivery, without a second run', async () => {
    await using worker = await start()
    const message = fakeMessage('wait')
    const first = worker.hand(message)
    const { ctx, end } = await worker.run(0)
    const second = worker.hand(message, { redelivered: true })
    first.lose()
    expect(ctx.signal.aborted).toBe(false)
    end.resolve('done')
    await until(() => second.settlements.length > 0, 'it is settled')
    expect([first.settlements, second.settlements]).toEqual([[], ['ack']])
  })

  it('of a run that ignores the loss take its result, however late', async () => {
    await using worker = await start()
    const message = fakeMessage('wait')
    const first = worker.hand(message)
    const { end } = await worker.run(0)
    first.lose()
    const second = worker.hand(message, { redelivered: true })
    const later = Date.now() + 1200 // beyond the grace of an overrun
    await until(() => Date.now() > later, 'time has passed')
    end.resolve('done')
    await until(() => second.settlements.length > 0, 'it is settled')
    expect([first.settlements, second.settlements]).toEqual([[], ['ack']])
    expect(worker.worker.counters).toEqual({ lostDeliveries: 1, duplicates: 1, completed: 1 })
  })

  it('of an interrupted run start anew, as the same attempt', async () => {
    await using worker = await start()
    const message = fakeMessage('wait')
    const first = worker.hand(message)
    const { ctx, end } = await worker.run(0)
    first.lose()
    expect(ctx.signal.aborted).toBe(true)
    const second = worker.hand(message, { redelivered: true })
    end.resolve(new Error('interrupted'))
    const again = await worker.run(1)
    expect(again.ctx.attempt).toBe(1)
    again.end.resolve('done')
    await until(() => second.settlements.length > 0, 'it is settled')
    expect(second.settlements).toEqual(['ack'])
  })
})

describe('a lost delivery', () => {
  it('aborts its handler and is not settled', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply })
    const delivery = worker.hand(fakeMessage('wait'))
    const { ctx, end } = await worker.run(0)
    delivery.lose()
    expect(ctx.signal.reason).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
    end.resolve('done')
    await until(() => worker.worker.health().queues[0]?.running === 0, 'it ended')
    expect([delivery.settlements, seen]).toEqual([[], []])
    expect(worker.worker.counters).toEqual({ lostDeliveries: 1 })
  })

  it('is dropped while it waits, before its retry, and when it comes lost', async () => {
    await using worker = await start({ options: { concurrency: 1 }, random: () => 1 })
    const held = worker.hand(fakeMessage('flaky'))
    ;(await worker.run(0)).end.resolve(new Error('x'))
    await until(() => worker.worker.health().queues[0]?.held === 1, 'it is held')
    const running = worker.hand(fakeMessage('wait'))
    const waiting = worker.hand(fakeMessage('wait'))
    const dead = fakeDelivery(fakeMessage('wait'))
    dead.lose()
    held.lose()
    waiting.lose()
    expect(worker.worker.health().queues[0]).toMatchObject({ held: 0, running: 1 })
    ;(await worker.run(1)).end.resolve('done')
    await until(() => running.settlements.length > 0, 'it is settled')
    expect([held, waiting, dead].flatMap(({ settlements }) => settlements)).toEqual([])
    expect(worker.runs).toHaveLength(2)
  })
})

describe('a cancelled call', () => {
  const cancel = (worker: Awaited<ReturnType<typeof start>>, ...ids: string[]) =>
    worker.caller.adapter.broadcast(cancelTopic(QUEUE), encodeCancel({ ids, until: Date.now() + 5000 }))

  it('aborts its handler; whatever that gives, the answer is CANCELLED', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply })
    const messages = [fakeMessage('wait'), fakeMessage('wait')]
    const deliveries = messages.map((message) => worker.hand(message))
    const [a, b] = [await worker.run(0), await worker.run(1)]
    const aborted = deferred()
    b.ctx.signal.addEventListener('abort', () => aborted.resolve())
    cancel(worker, ...messages.map(({ id }) => id))
    await aborted.promise
    expect(a.ctx.signal.reason).toMatchObject({ code: 'CANCELLED' })
    a.end.resolve('done')
    b.end.resolve(new Error('aborted'))
    await until(() => deliveries.every(({ settlements }) => settlements.length > 0), 'both are settled')
    expect(deliveries.map(({ settlements }) => settlements)).toEqual([['ack'], ['ack']])
    expect(seen.map(({ code, executed }) => [code, executed])).toEqual([
      ['CANCELLED', 'yes'],
      ['CANCELLED', 'yes'],
    ])
    expect(worker.worker.counters).toEqual({ cancelled: 2 })
  })

  it('is not begun: told before it comes, or while it waits', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply, options: { concurrency: 1 } })
    const running = fakeMessage('wait')
    const [waiting, coming] = [fakeMessage('wait'), fakeMessage('wait')]
    worker.hand(running)
    worker.hand(waiting)
    await worker.run(0)
    cancel(worker, waiting.id, coming.id)
    await until(() => seen.length === 1, 'the waiting one is answered')
    worker.hand(coming)
    await until(() => seen.length === 2, 'the other one too')
    expect(seen).toEqual([waiting, coming].map(({ id }) => ({ id, code: 'CANCELLED', executed: 'no' })))
    ;(await worker.run(0)).end.resolve('done')
  })

  it('ignores what is no cancel', async () => {
    await using worker = await start()
    for (const body of [Uint8Array.of(0xff), cborCodec.encode({ ids: [1], until: 'x' })])
      worker.caller.adapter.broadcast(cancelTopic(QUEUE), body)
    const delivery = worker.hand(fakeMessage('wait'))
    ;(await worker.run(0)).end.resolve('done')
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(worker.worker.counters).toEqual({ completed: 1 })
  })

  it('is repeated by clients at the hello that a worker says when it starts', async () => {
    const heard = deferred()
    const name = defineService('other', { methods: { go: method({}) } })
    await using worker = await start()
    await worker.caller.adapter.onBroadcast(helloTopic('replyto.q.default.other.v1'), () => heard.resolve())
    const { createWorker } = await import('../../../worker/index.ts')
    await createWorker(worker.broker)
      .serve(name, { go() {} })
      .start()
    await expect(heard.promise).resolves.toBeUndefined()
  })
})

describe('an overrun', () => {
  it('fails the attempt after a second of grace; the slot stays taken; all slots overrun stop the consuming', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply, options: { concurrency: 1 }, random: () => 0 })
    const delivery = worker.hand(fakeMessage('limited'))
    const waiting = worker.hand(fakeMessage('wait'))
    const { ctx, end } = await worker.run(0)
    await until(() => ctx.signal.aborted, 'its signal aborts')
    expect(ctx.signal.reason).toMatchObject({ code: 'ATTEMPT_TIMEOUT' })
    await until(() => worker.worker.counters['overrun'] === 1, 'it is overrun')
    await until(() => delivery.settlements.length > 0 && waiting.settlements.length > 0, 'both are given away')
    expect(delivery.settlements).toEqual(['retry now as 2'])
    expect(waiting.settlements).toEqual(['release'])
    expect(worker.worker.health()).toMatchObject({
      state: 'blocked',
      queues: [{ consuming: false, running: 1, held: 0 }],
    })
    expect(worker.log.map((line) => line.code)).toEqual(['OVERRUN', 'ALL_SLOTS_OVERRUN'])
    end.resolve('too late')
    await until(() => worker.worker.health().state === 'consuming', 'it consumes again')
    expect(worker.paused).toEqual([true, false])
    expect(seen).toEqual([])
  })

  it('is answered unknown when no attempt is left, with the deadline as reason', async () => {
    const { reply, seen } = replies()
    await using worker = await start({ reply })
    const message = fakeMessage('wait', { headers: { [HEADER.deadline]: String(Date.now() + 30) } })
    const delivery = worker.hand(message)
    const { ctx, end } = await worker.run(0)
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(ctx.signal.reason).toMatchObject({ code: 'TIMEOUT' })
    expect(ctx.remainingMs()).toBe(0)
    expect(seen).toEqual([{ id: message.id, code: 'ATTEMPT_TIMEOUT', executed: 'unknown' }])
    expect(delivery.settlements).toEqual(['ack'])
    end.resolve('ignored')
  })
})

describe('replies', () => {
  it('to an inbox that is gone end the call', async () => {
    const { reply } = replies(['gone'])
    await using worker = await start({ reply })
    const delivery = worker.hand(fakeMessage('wait'))
    ;(await worker.run(0)).end.resolve('done')
    await until(() => delivery.settlements.length > 0, 'it is settled')
    expect(delivery.settlements).toEqual(['ack'])
    expect(worker.worker.counters).toMatchObject({ repliesGone: 1 })
  })

  it('of one turn leave together, per address', async () => {
    const batches: [string, number][] = []
    const reply: BrokerAdapter['reply'] = async (address, all) => {
      batches.push([address, all.length])
      return all.map(() => 'stored')
    }
    await using worker = await start({ reply })
    const deliveries = ['a', 'a', 'b', 'a'].map((name) =>
      worker.hand(fakeMessage('wait', { replyTo: `replyto.in.${name}` })),
    )
    await worker.run(3)
    for (const run of worker.runs) run.end.resolve('done')
    await until(() => deliveries.every(({ settlements }) => settlements.length === 1), 'all are settled')
    expect(batches).toEqual([
      ['replyto.in.a', 3],
      ['replyto.in.b', 1],
    ])
  })

  it('that are results are sent again though the delivery is lost, and nothing is acked', async () => {
    const { reply, seen } = replies(['unknown'])
    await using worker = await start({ reply })
    const delivery = worker.hand(fakeMessage('wait'))
    ;(await worker.run(0)).end.resolve('done')
    await until(() => seen.length === 1, 'it was tried')
    delivery.lose()
    await until(() => worker.worker.counters['lateResults'] === 1, 'it is answered')
    expect([seen.length, delivery.settlements]).toEqual([2, []])
  })

  it('that are errors are not sent again once the delivery is lost', async () => {
    const { reply, seen } = replies(['unknown'])
    await using worker = await start({ reply })
    const delivery = worker.hand(fakeMessage('wait'))
    ;(await worker.run(0)).end.resolve(new Error('thrown'))
    await until(() => seen.length === 1, 'it was tried')
    delivery.lose()
    await until(() => worker.worker.health().queues[0]?.held === 0, 'it is dropped')
    expect([seen.length, delivery.settlements]).toEqual([1, []])
  })
})
