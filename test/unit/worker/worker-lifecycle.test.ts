import { describe, expect, it, vi } from 'vitest'
import type { AdapterContext, BrokerAdapter } from '../../../broker-adapters/adapter.ts'
import { createMemoryAdapter } from '../../../broker-adapters/memory/memory-adapter.ts'
import { createClient } from '../../../client/create-client.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { BrokerError } from '../../../protocol/errors.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Middleware } from '../../../protocol/middleware.ts'
import { createWorker } from '../../../worker/index.ts'
import { createCaller, testBroker, until } from './support/caller.ts'
import { deferred } from './support/deferred.ts'
import { fakeDelivery, fakeMessage, handFed } from './support/fake-delivery.ts'
import { runWorker } from './support/run-worker.ts'

const svc = defineService('svc', {
  methods: {
    echo: method({ input: type<string>(), output: type<string>() }),
    slow: method({ input: type<string>(), output: type<string>() }),
    flaky: method({ retry: { attempts: 5, minDelayMs: 3000, maxDelayMs: 3000 } }),
  },
})
const handlers = { echo: (text: string) => text, slow: (text: string) => text, flaky() {} }

/** A broker that is away until `arrive`, or refuses. */
function awayBroker(more: Partial<BrokerAdapter> = {}) {
  const adapter = createMemoryAdapter({ name: `away-${Math.random()}` })
  const arrival = deferred<Error | undefined>()
  let context: AdapterContext | undefined
  const factory = {
    '~adapter': 'away',
    url: 'away:',
    create: (): BrokerAdapter => ({
      ...adapter,
      async start(given) {
        context = given
        const problem = await arrival.promise
        if (problem !== undefined) throw problem
        await adapter.start(given)
      },
      async stop() {
        arrival.resolve(new BrokerError('BROKER_UNAVAILABLE', 'stopped'))
        await adapter.stop()
      },
      ...more,
    }),
  }
  return {
    factory,
    arrive: (problem?: Error) => arrival.resolve(problem),
    say: (state: 'up' | 'down' | 'blocked') => context?.onState(state),
  }
}

describe('start', () => {
  it('waits for a broker that is away, and says so once', async () => {
    const { factory, arrive, say } = awayBroker()
    const log: string[] = []
    const worker = createWorker(factory, { connectTimeoutMs: 10, log: (line) => log.push(line.code) }).serve(
      svc,
      handlers,
    )
    const started = worker.start()
    expect(worker.start()).toBe(started)
    await until(() => log.length > 0, 'it says that it waits')
    expect(worker.health()).toMatchObject({
      state: 'starting',
      queues: [{ service: 'svc', group: 'default', consuming: false }],
    })
    arrive()
    expect(await started).toBe(worker)
    expect(worker.health()).toMatchObject({ state: 'consuming', queues: [{ consuming: true }] })
    say('blocked')
    expect(worker.health()).toMatchObject({ state: 'blocked', queues: [{ consuming: true }] })
    say('down')
    expect(worker.health()).toMatchObject({ state: 'starting', queues: [{ consuming: false }] })
    expect(log.filter((code) => code === 'WORKER_WAITS')).toHaveLength(1)
    await worker.close()
    expect(worker.health()).toMatchObject({ state: 'closed', queues: [{ consuming: false }] })
  })

  it('rejects what waiting cannot mend; run() too, and closes', async () => {
    const { factory, arrive } = awayBroker()
    arrive(new BrokerError('BROKER_REFUSED', 'wrong password'))
    const worker = createWorker(factory, { log() {} }).serve(svc, handlers)
    await expect(worker.run()).rejects.toMatchObject({ code: 'BROKER_REFUSED' })
    expect(worker.health().state).toBe('closed')
  })

  it('ends with CLOSED when the worker is closed meanwhile, also when nobody looks', async () => {
    const unhandled = vi.fn<(reason: unknown) => void>()
    process.on('unhandledRejection', unhandled)
    const ignored = createWorker(awayBroker().factory).serve(svc, handlers)
    void ignored.start()
    await ignored.close()
    const worker = createWorker(awayBroker().factory).serve(svc, handlers)
    const started = worker.start()
    const running = worker.run()
    await worker.close()
    await expect(started).rejects.toMatchObject({ code: 'CLOSED' })
    await running
    await expect(createWorker(awayBroker().factory, { log() {} }).start()).rejects.toMatchObject({ code: 'CONFIG' })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})

describe('run', () => {
  it('drains at the first signal, ends the process at the second, leaves no listener', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never)
    const before = process.listenerCount('SIGTERM')
    const { broker } = await testBroker()
    const caller = await createCaller(broker, svc)
    const gate = deferred()
    const begun = deferred()
    const worker = createWorker(broker).serve(svc, {
      ...handlers,
      async slow(text) {
        begun.resolve()
        await gate.promise
        return text
      },
    })
    const running = worker.run()
    const answer = caller.call('slow', { input: 'x' })
    await begun.promise
    process.emit('SIGTERM', 'SIGTERM')
    expect(worker.health().state).toBe('draining')
    process.emit('SIGINT', 'SIGINT')
    expect(exit).toHaveBeenCalledExactlyOnceWith(130)
    gate.resolve()
    expect(await answer).toMatchObject({ value: 'x' })
    await running
    expect(process.listenerCount('SIGTERM')).toBe(before)
    exit.mockRestore()
    await broker.close()
  })
})

describe('close', () => {
  it('shares one promise, drains with nested calls still working, leaves the rest in the queue', async () => {
    const { broker } = await testBroker()
    const client = createClient(broker)
    const stub = client.service(svc)
    const gate = deferred()
    const begun = deferred()
    const inner = createWorker(broker, { group: 'inner' }).serve(svc, handlers)
    await inner.start()
    const nested = client.service(svc, { group: 'inner' })
    const worker = createWorker(broker, { concurrency: 1 }).serve(svc, {
      ...handlers,
      async slow(text) {
        begun.resolve()
        await gate.promise
        return nested.echo(`${text}!`)
      },
    })
    await worker.start()
    const first = stub.slow('a')
    await begun.promise
    const second = stub.echo('b')
    const closing = worker.close()
    expect(worker.close()).toBe(closing)
    gate.resolve()
    expect(await first).toBe('a!')
    await closing
    expect(worker.counters['completed']).toBe(1)
    const successor = await createWorker(broker).serve(svc, handlers).start()
    expect(await second).toBe('b')
    expect(successor.counters).toEqual({ completed: 1 })
    await broker.close()
    expect(successor.health().state).toBe('closed')
  })

  it('gives back what is not begun, stores held retries, aborts at the grace and gives the rest to others', async () => {
    const fed = handFed()
    const run = await runWorker(
      svc,
      {
        ...handlers,
        slow: () => new Promise(() => {}),
        echo: async (_text, ctx) => {
          await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
          throw new Error('interrupted')
        },
        flaky() {
          throw new Error('x')
        },
      },
      { bend: fed.bend, options: { concurrency: 2 }, random: () => 1 },
    )
    const [held, stubborn, polite, waiting] = ['flaky', 'slow', 'echo', 'slow'].map((name) =>
      fakeDelivery(fakeMessage(name)),
    )
    if (!held || !stubborn || !polite || !waiting) throw new Error('four were made')
    fed.hand(held)
    await until(() => run.worker.health().queues[0]?.held === 1, 'one is held')
    for (const delivery of [stubborn, polite, waiting]) fed.hand(delivery)
    expect(run.worker.health().queues[0]).toMatchObject({ running: 2, held: 2 })
    const closing = run.worker.close({ graceMs: 20 })
    const late = fakeDelivery(fakeMessage('slow'))
    fed.hand(late)
    expect([held, waiting, late].map(({ settlements }) => settlements)).toEqual([
      ['retry later as 2'],
      ['release'],
      ['release'],
    ])
    await closing
    expect([stubborn, polite].map(({ settlements }) => settlements)).toEqual([['release'], ['release']])
    expect(run.worker.health()).toMatchObject({ state: 'closed', queues: [{ running: 1, held: 0 }] })
    await run.broker.close()
  })

  it.each(['the worker', 'its broker'])('is shortened when %s is closed again with less grace', async (who) => {
    const { broker } = await testBroker()
    const begun = deferred()
    const worker = createWorker(broker).serve(svc, {
      ...handlers,
      slow: (_text, ctx) => {
        begun.resolve()
        return new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)))
      },
    })
    await worker.start()
    const client = createClient(broker)
    const call = client.service(svc).slow.start('x')
    await begun.promise
    const closing = who === 'the worker' ? worker.close({ graceMs: 600_000 }) : broker.close({ graceMs: 600_000 })
    await (who === 'the worker' ? worker.close({ graceMs: 0 }) : broker.close({ graceMs: 0 }))
    await closing
    expect(worker.counters).toEqual({ released: 1 })
    expect(worker.health().state).toBe('closed')
    await Promise.all([client.close({ graceMs: 0 }), broker.close({ graceMs: 0 })])
    expect(await call.outcome()).toMatchObject({ error: { code: 'CLOSED' } })
  })

  it('closes a broker of its own, which gives what still runs to others', async () => {
    const begun = deferred()
    const name = `own-${Math.random()}`
    const url = `memory:${name}`
    const worker = createWorker(url, { group: 'default' }).serve(svc, {
      ...handlers,
      slow() {
        begun.resolve()
        return new Promise(() => {})
      },
    })
    await worker.start()
    await using client = createClient(url)
    const call = client.service(svc).slow('x')
    await begun.promise
    await worker.close({ graceMs: 0 })
    await using other = createWorker(url).serve(svc, handlers)
    await other.start()
    expect(await call).toBe('x')
  })

  it('is done by `await using`, and before start too', async () => {
    const { broker } = await testBroker()
    {
      await using worker = createWorker(broker).serve(svc, handlers)
      await worker.start()
    }
    const worker = createWorker(broker).serve(svc, handlers)
    await worker.close()
    await expect(worker.start()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => worker.close({ graceMs: -1 })).toThrow(/graceMs must be/)
    await broker.close()
  })
})

describe('concurrency', () => {
  it('holds back a method at its limit without blocking the others', async () => {
    const gates = [deferred(), deferred()]
    let slow = 0
    await using run = await runWorker(
      svc,
      {
        ...handlers,
        async slow(text) {
          await gates[slow++]?.promise
          return text
        },
      },
      { options: { concurrency: 3, prefetch: 10 }, serve: { concurrency: { slow: 1 } } },
    )
    const first = run.caller.call('slow', { input: 'a' })
    const second = run.caller.call('slow', { input: 'b' })
    expect(await run.caller.call('echo', { input: 'c' })).toMatchObject({ value: 'c' })
    expect(slow).toBe(1)
    expect(run.worker.health().queues[0]).toMatchObject({ running: 1, held: 1 })
    for (const gate of gates) gate.resolve()
    expect(await Promise.all([first, second])).toMatchObject([{ value: 'a' }, { value: 'b' }])
  })
})

describe('middleware', () => {
  it('runs around every attempt, may change input, output, state; what it throws is an answer', async () => {
    const seen: unknown[] = []
    const outer: Middleware = async (call, next) => {
      seen.push({
        side: call.side,
        kind: call.kind,
        method: call.method,
        attempt: call.attempt,
        header: call.headers.get('tenant'),
      })
      call.state.set('who', 'outer')
      return `<${String(await next())}>`
    }
    const inner: Middleware = (call, next) => {
      if (call.input === 'throw') throw new Error('sync')
      call.input = `${String(call.input)}!`
      return next()
    }
    await using run = await runWorker(
      svc,
      { ...handlers, echo: (text, ctx) => `${text} by ${String(ctx.state.get('who'))}` },
      { options: { middleware: [outer, inner] } },
    )
    const answer = await run.caller.call('echo', { input: 'hi', headers: { tenant: 't' } })
    expect(answer.value).toBe('<hi! by outer>')
    expect(seen).toEqual([{ side: 'worker', kind: 'call', method: 'echo', attempt: 1, header: 't' }])
    const thrown = await run.caller.call('echo', { input: 'throw' })
    expect(thrown.error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'no' })
  })
})

describe('nested calls', () => {
  it('inherit deadline and depth', async () => {
    const { broker } = await testBroker()
    await using client = createClient(broker)
    const stub = client.service(svc)
    const seen: { deadline: number; depth: string | undefined }[] = []
    const spy: Middleware = async (call, next) => {
      seen.push({ deadline: call.deadline ?? 0, depth: call.headers.get(HEADER.depth) })
      return next()
    }
    const worker = createWorker(broker, { middleware: [spy] }).serve(svc, {
      ...handlers,
      slow: (text) => stub.echo(text),
    })
    await worker.start()
    expect(await stub.slow('x', { timeoutMs: 2000 })).toBe('x')
    expect(seen).toHaveLength(2)
    expect(seen[1]?.deadline).toBeLessThanOrEqual(seen[0]?.deadline ?? 0)
    const endless = createWorker(broker, { group: 'endless', concurrency: 100 })
    const again = client.service(svc, { group: 'endless' })
    await endless.serve(svc, { ...handlers, echo: (text) => again.echo(text) }).start()
    await expect(again.echo('x', { timeoutMs: 3000 })).rejects.toMatchObject({ code: 'HANDLER_FAILED' })
    expect(endless.counters['failed']).toBe(33) // the outermost and 32 inside
    await broker.close()
  })
})
