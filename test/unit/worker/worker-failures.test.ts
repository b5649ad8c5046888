import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createClient } from '../../../client/create-client.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { HEADER } from '../../../protocol/headers.ts'
import { NonRetryableError, RetryAfter } from '../../../worker/index.ts'
import { until } from './support/caller.ts'
import { runWorker } from './support/run-worker.ts'

const jobs = defineService('jobs', {
  methods: {
    strict: method({ input: z.object({ n: z.number() }), output: z.string() }),
    retried: method({
      input: type<string>(),
      output: type<number>(),
      retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 2 },
    }),
    fails: method({ input: type<string>(), errors: { SHY: z.object({ a: z.number() }) } }),
    note: method({ input: type<string>(), oneWay: true, retry: { attempts: 2, minDelayMs: 1 } }),
    big: method({ input: type<number>(), output: type<string>() }),
  },
})

const start = (options: Parameters<typeof runWorker<typeof jobs>>[2] = {}) => {
  const runs: { what: string; attempt: number }[] = []
  return runWorker(
    jobs,
    {
      strict: ({ n }) => (n < 0 ? (5 as unknown as string) : String(n)), // an output that does not fit
      retried(what, ctx) {
        runs.push({ what, attempt: ctx.attempt })
        if (what === 'later') throw new RetryAfter(6000)
        if (what === 'final') throw new NonRetryableError('no use')
        if (ctx.attempt < 3 || what === 'always') throw new Error(`broke ${ctx.attempt}`)
        return ctx.attempt
      },
      fails(what, ctx) {
        if (what === 'undefined') throw undefined
        if (what === 'string') throw 'text'
        if (what === 'proxy')
          throw new Proxy(
            {},
            {
              get: () => {
                throw new Error('trap')
              },
              getPrototypeOf: () => {
                throw new Error('trap')
              },
              has: () => {
                throw new Error('trap')
              },
            },
          )
        if (what === 'made') ctx.fail('SHY', { a: 1 })
        if (what === 'bad data') throw ctx.fail('SHY', { a: 'x' as unknown as number })
        if (what === 'undeclared') throw (ctx as unknown as { fail(code: string): Error }).fail('OTHER')
        if (what === 'wrapped') throw new Error('outer', { cause: ctx.fail('SHY', { a: 1 }) })
        if (what === 'progress') (ctx as unknown as { progress(value: unknown): void }).progress(() => {})
      },
      note(what) {
        runs.push({ what, attempt: 0 })
        if (what !== 'ok') throw new Error('cannot note')
      },
      big: (length) => 'x'.repeat(length),
    },
    options,
  ).then((running) => ({ ...running, runs }))
}

describe('failures that are answered', () => {
  it('refuses input, output and payloads that do not fit, and keeps none of these calls', async () => {
    await using run = await start()
    const refused = await run.caller.call('strict', { input: { n: 'x' } })
    expect(refused.error).toMatchObject({ code: 'INVALID_INPUT', executed: 'no', issues: [{ path: ['n'] }] })
    const misfit = await run.caller.call('strict', { input: { n: -1 } })
    expect(misfit.error).toMatchObject({ code: 'INVALID_OUTPUT', executed: 'yes' })
    const big = await run.caller.call('big', { input: 3000 })
    expect(big.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'yes' })
    expect(await run.caller.deadLetters()).toEqual([])
    expect(run.worker.counters).toMatchObject({ failed: 3 })
  })

  it("validate: 'off' passes on what came", async () => {
    await using run = await start({ options: { validate: 'off' } })
    expect(await run.caller.call('strict', { input: { n: '7' } })).toMatchObject({ value: '7' })
    expect(await run.caller.call('strict', { input: { n: -1 } })).toMatchObject({ value: 5 })
  })

  it.each(['undefined', 'string', 'proxy', 'wrapped', 'bad data', 'undeclared'])(
    'survives a handler that throws: %s',
    async (what) => {
      await using run = await start()
      const { error } = await run.caller.call('fails', { input: what })
      // An error that cannot be sent as it was declared stays so, however often it is tried.
      const retryable = what !== 'bad data' && what !== 'undeclared'
      expect(error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes', retryable })
      expect(error.message).toContain('jobs.fails')
      expect(run.log.some((line) => line.code === 'HANDLER_FAILED')).toBe(true)
    },
  )

  it('warns of an error that was made and not thrown; drops progress that cannot be sent', async () => {
    await using run = await start()
    expect((await run.caller.call('fails', { input: 'made' })).reply.type).toBe('result')
    expect((await run.caller.call('fails', { input: 'progress' })).reply.type).toBe('result')
    expect(run.log.map((line) => line.code)).toEqual(['FAIL_NOT_THROWN', 'PROGRESS_DROPPED'])
    expect(run.worker.counters).toMatchObject({ progressDropped: 1, completed: 2 })
  })

  it("gives a nested call's declared error to the outer caller as HANDLER_FAILED", async () => {
    const inner = defineService('inner', { methods: { go: method({ errors: { SHY: type<number>() } }) } })
    const outer = defineService('outer', { methods: { go: method({ errors: { SHY: type<number>() } }) } })
    await using run = await runWorker(outer, { go: () => nested.go() })
    await using other = createClient(run.broker)
    const nested = other.service(inner)
    const { createWorker } = await import('../../../worker/index.ts')
    await createWorker(run.broker)
      .serve(inner, {
        go: (_input, ctx) => {
          throw ctx.fail('SHY', 1)
        },
      })
      .start()
    expect((await run.caller.call('go')).error).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
  })
})

describe('retries', () => {
  it('runs a call again while attempts are left', async () => {
    await using run = await start()
    const answer = await run.caller.call('retried', { input: 'x' })
    expect(answer).toMatchObject({ value: 3, reply: { headers: { 'rt-attempt': '3' } } })
    expect(run.worker.counters).toMatchObject({ retried: 2, completed: 1 })
    expect(await run.caller.deadLetters()).toEqual([])
  })

  it('answers and keeps a call whose attempts are used up, with its history', async () => {
    await using run = await start()
    const answer = await run.caller.call('retried', { input: 'always' })
    expect(answer.error).toMatchObject({ code: 'HANDLER_FAILED', attempts: 3 })
    const [letter] = await run.caller.deadLetters()
    expect(letter).toMatchObject({ code: 'HANDLER_FAILED', attempts: 3 })
    expect(letter?.reason).toBe('attempt 1: Error: broke 1 | attempt 2: Error: broke 2 | attempt 3: Error: broke 3')
  })

  it('does not retry NonRetryableError', async () => {
    await using run = await start()
    expect((await run.caller.call('retried', { input: 'final' })).error).toMatchObject({
      attempts: 1,
      executed: 'yes',
      retryable: false,
    })
    expect(run.runs).toHaveLength(1)
  })

  it('gives a long wait to the broker, with attempt and history', async () => {
    await using run = await start()
    const id = await run.caller.publish('retried', { input: 'later', message: { type: 'send' } })
    await until(async () => (await run.caller.adapter.stats(queue)).delayed === 1, 'it is delayed')
    await until(() => run.worker.health().queues[0]?.held === 0, 'the worker has heard that it is stored')
    expect(run.worker.health().queues[0]).toMatchObject({ held: 0, running: 0 })
    expect(await run.caller.adapter.remove?.(queue, id)).toBe(false) // it is, but it has run
    expect(await run.caller.adapter.stats(queue)).toMatchObject({ delayed: 0, dead: 0 })
  })

  it('does not wait beyond the deadline: the last error is the answer', async () => {
    await using run = await start()
    const answer = await run.caller.call('retried', { input: 'later', timeoutMs: 3000 })
    expect(answer.error).toMatchObject({ code: 'HANDLER_FAILED', attempts: 1 })
    expect(await run.caller.deadLetters()).toEqual([])
  })

  it('keeps every send that failed finally', async () => {
    await using run = await start()
    await run.caller.publish('note', { input: 'x', message: { type: 'send' } })
    await run.caller.publish('nope', { input: 'x', message: { type: 'send' } })
    await run.caller.publish('strict', { input: 'x', message: { type: 'send' } })
    await until(async () => (await run.caller.deadLetters()).length === 3, 'all are kept')
    const letters = await run.caller.deadLetters()
    expect(Object.fromEntries(letters.map(({ code, attempts }) => [code, attempts]))).toEqual({
      HANDLER_FAILED: 2,
      INVALID_INPUT: 1,
      UNKNOWN_METHOD: 1,
    })
  })
})

describe('a hostile message', () => {
  const refused: [string, string, Parameters<Awaited<ReturnType<typeof start>>['caller']['call']>[1], object][] = [
    ['unknown method', 'nope', {}, { code: 'UNKNOWN_METHOD', executed: 'no' }],
    ['__proto__', '__proto__', {}, { code: 'UNKNOWN_METHOD' }],
    ['constructor', 'constructor', {}, { code: 'UNKNOWN_METHOD' }],
    ['no method', '', {}, { code: 'UNKNOWN_METHOD' }],
    ['a call to a oneWay method', 'note', {}, { code: 'UNKNOWN_METHOD' }],
    [
      'undecodable body',
      'strict',
      { message: { body: Uint8Array.of(0xff, 1) } },
      { code: 'INVALID_MESSAGE', executed: 'no' },
    ],
    ['unknown content type', 'strict', { message: { contentType: 'text/plain' } }, { code: 'INVALID_MESSAGE' }],
    ['content encoding', 'strict', { message: { contentEncoding: 'gzip' } }, { code: 'INVALID_MESSAGE' }],
    ['stream', 'strict', { message: { type: 'stream' } }, { code: 'UNKNOWN_METHOD' }],
    ['wire version', 'strict', { headers: { [HEADER.version]: '0' } }, { code: 'INVALID_MESSAGE' }],
    ['depth', 'strict', { input: { n: 1 }, headers: { [HEADER.depth]: '33' } }, { code: 'OVERLOADED' }],
    ['ran before', 'nope', { headers: { [HEADER.ran]: '1' } }, { code: 'UNKNOWN_METHOD', executed: 'unknown' }],
    ['resent', 'nope', { headers: { [HEADER.resent]: '1' } }, { code: 'UNKNOWN_METHOD', executed: 'unknown' }],
  ]

  it.each(refused)('%s', async (_name, method, sent, error) => {
    await using run = await start()
    expect((await run.caller.call(method, sent)).error).toMatchObject(error)
    expect(await run.caller.call('strict', { input: { n: 1 } })).toMatchObject({ value: '1' })
    const kept = 'code' in error && error.code === 'INVALID_MESSAGE' ? 1 : 0
    expect(await run.caller.deadLetters()).toHaveLength(kept)
  })

  it('with odd headers runs like any other', async () => {
    await using run = await start()
    const headers = {
      [HEADER.attempt]: '-7',
      [HEADER.depth]: 'NaN',
      [HEADER.host]: '\0',
      [HEADER.sent]: '1e9',
      'rt-x': 'y',
      '': '',
    }
    expect(await run.caller.call('strict', { input: { n: 1 }, headers })).toMatchObject({ value: '1' })
  })

  it('with an invalid id is kept and never answered', async () => {
    await using run = await start()
    const id = await run.caller.publish('strict', { input: { n: 1 }, message: { id: '123' } })
    await until(async () => (await run.caller.deadLetters()).length === 1, 'it is kept')
    expect(run.caller.replies(id)).toEqual([])
  })

  it('cannot make the worker write to a foreign address', async () => {
    const addresses: string[] = []
    await using run = await start({
      bend: (adapter) => ({
        ...adapter,
        reply(address, replies) {
          addresses.push(address)
          return adapter.reply(address, replies)
        },
      }),
    })
    for (const replyTo of ['other.in.x', 'replyto', 'replytoo.in.x', `replyto.${'x'.repeat(600)}`])
      await run.caller.publish('strict', { input: { n: 1 }, message: { replyTo } })
    await until(() => run.worker.counters['completed'] === 4, 'all ran')
    expect(addresses).toEqual([])
    expect(run.worker.counters).toMatchObject({ refusedReplyAddress: 4 })
  })

  it('that came back too often is kept and answered', async () => {
    await using run = await start({
      bend: (adapter) => ({
        ...adapter,
        consume: (queue, options, onDelivery) =>
          adapter.consume(queue, options, (delivery) =>
            onDelivery(Object.defineProperty(delivery, 'handBacks', { value: 100 })),
          ),
      }),
    })
    expect((await run.caller.call('strict', { input: { n: 1 } })).error).toMatchObject({
      code: 'CRASHED',
      executed: 'unknown',
    })
    expect(await run.caller.deadLetters()).toMatchObject([{ code: 'CRASHED' }])
  })

  it('that is expired is answered, not run, and warned of once per foreign host', async () => {
    await using run = await start()
    const own = await run.caller.call('strict', { input: { n: 1 }, timeoutMs: -50 })
    expect(own.error).toMatchObject({ code: 'EXPIRED', executed: 'no' })
    expect(run.log).toEqual([])
    const foreign = { input: { n: 1 }, headers: { [HEADER.host]: 'elsewhere' } }
    expect(await run.caller.call('strict', { ...foreign, timeoutMs: -1000 })).toMatchObject({ value: '1' })
    for (let i = 0; i < 2; i++) await run.caller.call('strict', { ...foreign, timeoutMs: -6000 })
    expect(run.log.map((line) => line.code)).toEqual(['EXPIRED'])
    expect(run.worker.counters).toMatchObject({ expired: 3, completed: 1 })
  })
})

const queue = {
  group: 'default',
  service: 'jobs',
  major: 'v1',
  features: { keyed: false, priority: false, frames: false },
}
