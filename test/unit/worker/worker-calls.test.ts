import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createClient } from '../../../client/create-client.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { createWorker } from '../../../worker/index.ts'
import { createCaller, testBroker } from './support/caller.ts'

const images = defineService('images', {
  methods: {
    resize: method({
      input: z.object({ path: z.string(), width: z.number().default(7) }),
      output: z.object({ path: z.string(), width: z.number() }),
      errors: { NOT_FOUND: z.object({ path: z.string() }) },
    }),
    tick: method({ input: type<number>(), output: type<string>(), progress: type<{ at: number }>() }),
    audit: method({ input: type<{ who: string }>(), oneWay: true }),
    ping: method({}),
  },
})

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]()
})

async function start() {
  const { broker, log } = await testBroker()
  open.push(broker)
  const seen: unknown[] = []
  const worker = createWorker(broker, { name: 'w1' }).serve(images, {
    async resize(input, ctx) {
      if (input.path === 'none') throw ctx.fail('NOT_FOUND', { path: input.path })
      if (input.path === 'boom') throw new Error('secret host db seven')
      return input
    },
    tick(count, { progress, caller, headers, attempt, state }) {
      for (let at = 0; at < count; at++) progress({ at })
      return JSON.stringify({ caller, headers, attempt, state: state.size })
    },
    audit(entry) {
      seen.push(entry)
    },
    ping() {},
  })
  await worker.start()
  return { broker, worker, log, seen }
}

describe('a worker', () => {
  it('answers a client: parsed input, output, declared error, hidden error, send', async () => {
    const { broker, worker, log, seen } = await start()
    const client = createClient(broker, { name: 'web' })
    open.push(client)
    const stub = client.service(images, { headers: { tenant: 'a' } })
    expect(await stub.resize({ path: 'x' })).toEqual({ path: 'x', width: 7 })
    const declared = await stub.resize.start({ path: 'none' }).outcome()
    expect(declared).toMatchObject({ error: { code: 'NOT_FOUND', data: { path: 'none' }, executed: 'yes' } })
    const hidden = await stub.resize.start({ path: 'boom' }).outcome()
    expect(hidden).toMatchObject({ error: { code: 'HANDLER_FAILED', executed: 'yes', attempts: 1 } })
    expect(String(hidden.status === 'error' && hidden.error.message)).not.toContain('db seven')
    expect(log.find((line) => line.code === 'HANDLER_FAILED')?.message).toContain('db seven')
    expect(JSON.parse(await stub.tick(0))).toEqual({ caller: 'web', headers: { tenant: 'a' }, attempt: 1, state: 0 })
    await stub.audit.send({ who: 'me' })
    await stub.ping()
    expect(seen).toEqual([{ who: 'me' }])
    expect(worker.counters).toMatchObject({ completed: 4, failed: 2 })
    expect(worker.counters['deadLettered']).toBeUndefined()
  })

  it('reports progress in order, before the answer', async () => {
    const { broker } = await start()
    const caller = await createCaller(broker, images)
    const answer = await caller.call('tick', { input: 3 })
    expect(answer.reply).toMatchObject({
      type: 'result',
      headers: { 'rt-v': '1', 'rt-attempt': '1', 'rt-worker': 'w1' },
    })
    expect(caller.progress.map((reply) => reply.headers['rt-seq'])).toEqual(['0', '1', '2'])
  })
})
