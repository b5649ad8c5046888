import { expect } from 'vitest'
import { HEADER } from '../../../protocol/headers.ts'
import type { HandlerContext, Worker } from '../../../worker/types.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import type { FaultyTarget } from '../../support/faulty-adapter.ts'
import { claimsOf } from '../case.ts'
import { queueRef, type CaseContext } from '../case-context.ts'
import { aborted, callOf, errorOf, probe, unused, type Job } from '../probe.ts'
import { isEmpty, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('crash loop')
export const crashLoop = cases

/** One worker at a time; what it holds when it crashes goes back, and the next one is started. */
async function crashingWorkers(
  t: CaseContext,
  {
    handle,
    concurrency = 10,
  }: { readonly handle: (job: Job, ctx: Pick<HandlerContext, 'signal'>) => unknown; readonly concurrency?: number },
): Promise<{ readonly crash: () => void; readonly workers: readonly Worker[] }> {
  const workers: Worker[] = []
  let wire: FaultyTarget | undefined
  const spawn = async (): Promise<void> => {
    wire = t.wire()
    const worker = t
      .worker({ wire, concurrency })
      .serve(probe, { work: handle, note: async (job, ctx) => void (await handle(job, ctx)) })
    workers.push(worker)
    await worker.start()
  }
  await spawn()
  return {
    workers,
    crash() {
      wire?.faults.disconnect()
      void spawn()
    },
  }
}

claim(
  'only what ends its worker while it runs alone is kept and answered; its neighbours are not punished',
  async (t) => {
    let running = 0
    const besidePoison: number[] = []
    const stub = t.client().service(probe)
    const { workers, crash } = await crashingWorkers(t, {
      async handle({ key }, { signal }) {
        t.ledger.enter(key)
        if (key === 'poison') {
          besidePoison.push(running)
          running = 0
          crash()
          throw await aborted(signal)
        }
        running++
        await new Promise((resolve) => setTimeout(resolve, 50))
        running = Math.max(0, running - 1)
        return key
      },
    })
    const keys = Array.from({ length: 9 }, (_, index) => `k${index}`)
    const neighbours = keys.map((key) => stub.work({ key }))
    const poison = errorOf(stub.work({ key: 'poison' }))
    expect(await Promise.all(neighbours)).toEqual(keys)
    expect(await poison).toMatchObject({ code: 'CRASHED', executed: 'unknown' })
    // Twice beside others; then alone, more than three times.
    expect(t.ledger.runs('poison')).toBe(6)
    expect(besidePoison.slice(2)).toEqual([0, 0, 0, 0])
    const letters = await allOf(t.client().queue(probe).deadLetters.list())
    expect(letters.map(({ error }) => error.code)).toEqual(['CRASHED'])
    expect(await stub.work({ key: 'later' })).toBe('later')
    expect(workers).toHaveLength(7)
    await isEmpty(await t.adapter(), queueRef())
  },
)

claim('a send that ends its workers is kept, and the queue goes on', async (t) => {
  const { crash } = await crashingWorkers(t, {
    async handle({ key }, { signal }) {
      if (key !== 'poison') return key
      crash()
      throw await aborted(signal)
    },
  })
  const client = t.client()
  await client.service(probe).note.send({ key: 'poison' }, { id: 'poison-1' })
  await eventually(async () => (await client.queue(probe).stats()).dead === 1)
  const [letter] = await allOf(client.queue(probe).deadLetters.list())
  expect(letter).toMatchObject({ id: 'poison-1', error: { code: 'CRASHED' }, reason: expect.stringMatching(/alone/) })
  expect(await client.service(probe).work({ key: 'later' })).toBe('later')
})

claim('a message that runs alone waits for what runs, keeps what comes waiting, and then all goes on', async (t) => {
  let running = 0
  const beside = new Map<string, number>()
  const ends = new Map<string, () => void>()
  const worker = await t.serve(
    probe,
    {
      note: unused,
      async work({ key }) {
        t.ledger.enter(key)
        beside.set(key, running++)
        await new Promise<void>((resolve) => ends.set(key, resolve))
        running--
        return key
      },
    },
    { concurrency: 5 },
  )
  const stub = t.client().service(probe)
  const before = stub.work({ key: 'before' })
  await eventually(() => t.ledger.runs('before') === 1)
  const adapter = await t.adapter()
  await publishAll(adapter, queueRef(), [callOf({ key: 'alone' }, { headers: { [HEADER.solo]: '0' } })])
  await eventually(() => worker.health().queues[0]?.held === 1)
  const after = ['after 1', 'after 2'].map((key) => stub.work({ key }))
  await eventually(async () => (await adapter.stats(queueRef())).ready === 2)
  expect(t.ledger.keys).toEqual(['before'])
  ends.get('before')?.()
  expect(await before).toBe('before')
  await eventually(() => t.ledger.runs('alone') === 1)
  expect(beside.get('alone')).toBe(0)
  expect(t.ledger.total).toBe(2)
  ends.get('alone')?.()
  await eventually(() => t.ledger.total === 4)
  for (const key of ['after 1', 'after 2']) ends.get(key)?.()
  expect(await Promise.all(after)).toEqual(['after 1', 'after 2'])
  await isEmpty(adapter, queueRef())
})

claim('twenty redeploys of workers that hold all they may: nothing is kept, nothing is even suspected', async (t) => {
  const keys = Array.from({ length: 10 }, (_, index) => `k${index}`)
  const stub = t.client().service(probe)
  const answers = keys.map((key) => stub.work({ key }))
  const isolated: number[] = []
  for (let redeploy = 0; redeploy < 20; redeploy++) {
    const worker = await t.serve(
      probe,
      {
        note: unused,
        async work(_, ctx) {
          throw await aborted(ctx.signal)
        },
      },
      { concurrency: 2, prefetch: 10 },
    )
    await eventually(() => worker.health().queues[0]?.running === 2 && worker.health().queues[0]?.held === 8)
    await worker.close({ graceMs: 0 })
    isolated.push(worker.counters['isolated'] ?? 0)
  }
  expect(isolated).toEqual(Array.from({ length: 20 }, () => 0))
  await t.serve(probe, { note: unused, work: ({ key }) => key })
  expect(await Promise.all(answers)).toEqual(keys)
  expect((await t.client().queue(probe).stats()).dead).toBe(0)
})

claim('a worker that drains while one runs alone gives it back, and that is no crash', async (t) => {
  const adapter = await t.adapter()
  const message = callOf({ key: 'alone' }, { type: 'send', headers: { [HEADER.method]: 'note', [HEADER.solo]: '3' } })
  await publishAll(adapter, queueRef(), [message])
  for (const _ of [1, 2, 3]) {
    const worker = await t.serve(probe, {
      work: unused,
      async note({ key }, ctx) {
        t.ledger.enter(key)
        await aborted(ctx.signal)
        await new Promise(() => {}) // ignores it: only the end of the grace takes the call away
      },
    })
    const runs = t.ledger.runs('alone')
    await eventually(() => t.ledger.runs('alone') > runs || worker.health().queues[0]?.running === 1)
    await worker.close({ graceMs: 0 })
  }
  await t.serve(probe, { work: unused, note: ({ key }) => t.ledger.finish(key) })
  await isEmpty(adapter, queueRef())
  expect(t.ledger.finished('alone')).toBe(1)
  expect((await adapter.stats(queueRef())).dead).toBe(0)
})
