import { describe, expect, it, test } from 'vitest'
import { defineService, method, type } from '../../../contract/index.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Message } from '../../../protocol/message.ts'
import type { HandlerContext } from '../../../worker/index.ts'
import { until } from './support/caller.ts'
import { deferred, type Deferred } from './support/deferred.ts'
import { fakeDelivery, fakeMessage, handFed, type FakeDelivery } from './support/fake-delivery.ts'
import { runWorker } from './support/run-worker.ts'

const svc = defineService('svc', {
  methods: {
    wait: method({ output: type<string>() }),
    flaky: method({ output: type<string>(), retry: { attempts: 3, minDelayMs: 4000, maxDelayMs: 4000 } }),
  },
})

interface Run {
  readonly ctx: HandlerContext
  readonly end: Deferred<string | Error>
}

async function start() {
  const runs: Run[] = []
  const fed = handFed()
  const handler = async (_input: void, ctx: HandlerContext): Promise<string> => {
    const run = { ctx, end: deferred<string | Error>() }
    runs.push(run)
    const value = await run.end.promise
    if (value instanceof Error) throw value
    return value
  }
  const running = await runWorker(svc, { wait: handler, flaky: handler }, { bend: fed.bend })
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

describe('what goes back as a copy', () => {
  it('may be handed over here before the broker says that it is stored, and is not taken for a duplicate', async () => {
    await using worker = await start()
    const message = fakeMessage('wait')
    let copy: FakeDelivery | undefined
    const suspect = worker.hand(message, {
      handBacks: 2,
      onRetry(headers) {
        expect(headers).toEqual({ [HEADER.solo]: '0', [HEADER.attempt]: '1', [HEADER.ran]: '1' })
        copy = worker.hand({ ...message, headers: { ...message.headers, ...headers } })
      },
      redelivered: true,
    })
    const { ctx, end } = await worker.run(0)
    expect([ctx.callId, suspect.settlements]).toEqual([message.id, ['retry now as 1']])
    end.resolve('done')
    await until(() => copy?.settlements.length === 1, 'the copy is settled')
    expect(copy?.settlements).toEqual(['ack'])
    expect(worker.worker.counters).toMatchObject({ isolated: 1, completed: 1 })
    expect(worker.worker.counters['duplicates']).toBeUndefined()
    expect(worker.paused).toEqual([true, false])
  })

  it('runs alone for one attempt only: the next one is as any other', async () => {
    await using worker = await start()
    const solo = worker.hand(fakeMessage('flaky', { headers: { [HEADER.solo]: '1' } }), { redelivered: true })
    const headers: Readonly<Record<string, string>>[] = []
    solo.retry = async (copy) => void headers.push(copy.headers)
    ;(await worker.run(0)).end.resolve(new Error('thrown'))
    await until(() => headers.length === 1, 'it goes back')
    expect(headers[0]).toMatchObject({ [HEADER.solo]: '', [HEADER.attempt]: '2', [HEADER.ran]: '1' })
    worker.hand(fakeMessage('wait', { headers: { [HEADER.solo]: '' } }))
    worker.hand(fakeMessage('wait'))
    await worker.run(2) // beside each other
    for (const { end } of worker.runs) end.resolve('done')
  })

  it('is given back while another one runs alone, and keeps its own count', async () => {
    await using worker = await start()
    worker.hand(fakeMessage('wait', { headers: { [HEADER.solo]: '0' } }))
    await worker.run(0)
    const copies: Readonly<Record<string, string>>[] = []
    const onRetry = (headers: Readonly<Record<string, string>>): void => void copies.push(headers)
    worker.hand(fakeMessage('wait', { headers: { [HEADER.solo]: '1' } }), { handBacks: 2, redelivered: true, onRetry })
    const fresh = worker.hand(fakeMessage('wait'))
    const once = worker.hand(fakeMessage('wait'), { redelivered: true, onRetry })
    await until(() => copies.length === 2 && fresh.settlements.length === 1, 'they are given back')
    expect(copies[0]).toMatchObject({ [HEADER.solo]: '3' })
    expect(copies[1]).toEqual({ [HEADER.attempt]: '1', [HEADER.ran]: '1' })
    expect([fresh.settlements, once.settlements]).toEqual([['release'], ['retry now as 1']])
    worker.runs[0]?.end.resolve('done')
    await until(() => worker.paused.at(-1) === false, 'all goes on')
    expect(worker.runs).toHaveLength(1)
  })
})

test('a handler that has never seen its signal does not lose its result with its delivery', async () => {
  await using worker = await start()
  const message = fakeMessage('wait')
  const delivery = worker.hand(message)
  const { end } = await worker.run(0)
  delivery.lose()
  end.resolve('done')
  await until(() => worker.worker.counters['lateResults'] === 1, 'it is answered')
  expect(delivery.settlements).toEqual([])
  expect(worker.hand(message).settlements).toEqual(['ack']) // it was finished here
})
