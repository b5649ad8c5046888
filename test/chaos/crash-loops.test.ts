import { expect, test } from 'vitest'
import { allOf, eventually } from '../support/eventually.ts'
import type { Child } from './child.ts'
import { drained, judge } from './judge.ts'
import { setStage, type Stage } from './processes.ts'
import { chaos } from './programs/service.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

/** What the operator of a service does: whatever ends is started again, until `work` has settled. */
async function restarting(stage: Stage, count: number, work: Promise<unknown>): Promise<Child[]> {
  const started: Child[] = []
  let isDone = false
  const keepOne = async (): Promise<void> => {
    while (!isDone) {
      const worker = stage.worker({ concurrency: 10 })
      worker.expectEnd()
      started.push(worker)
      await eventually(() => isDone || !worker.isRunning, { within: 60_000, what: 'it ends' })
    }
  }
  const all = Promise.all(Array.from({ length: count }, keepOne))
  await work.finally(() => (isDone = true))
  await all
  return started
}

async function letters(stage: Stage): Promise<{ readonly id: string; readonly code: string }[]> {
  const all = await allOf(stage.inProcess().queue(chaos).deadLetters.list())
  return all.map(({ id, error }) => ({ id, code: error.code }))
}

test.for([
  { how: 'kill', hub: 'in a process of its own' },
  { how: 'exit', hub: 'in the worker, and ends with it' },
] as const)(
  'of ten calls in a worker one ends its process ($how), the hub is $hub: it alone is kept, the others are answered',
  async ({ how, hub }) => {
    const stage = setStage()
    if (hub === 'in a process of its own') await stage.keeper().line('ready')
    const stub = stage.inProcess().service(chaos)
    const neighbours = Promise.all(keys(9).map((key) => stub.echo({ key, ms: 100 }, { timeoutMs: 55_000 })))
    const poison = stub.poison.start({ key: 'poison', how }, { timeoutMs: 55_000 })
    const started = await restarting(stage, 1, Promise.all([neighbours, poison.outcome()]))
    expect(await neighbours).toEqual(keys(9))
    expect(await poison.outcome()).toMatchObject({ status: 'error', error: { code: 'CRASHED', executed: 'unknown' } })
    expect(await letters(stage)).toEqual([{ id: poison.id, code: 'CRASHED' }])
    // Twice beside others, four times alone: the counts outlive processes.
    expect(stage.ledger.story('poison').runs).toHaveLength(6)
    expect(started).toHaveLength(7)
    // A crash is no failed attempt of anybody.
    for (const { runs } of stage.ledger.stories().values()) for (const run of runs) expect(run.attempt).toBe(1)
    await judge(stage)
  },
)

test('two of twenty calls end their processes, two workers: only these two are kept', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const stub = stage.inProcess().service(chaos)
  const poisons = ['poison-a', 'poison-b'].map((key) => stub.poison.start({ key, how: 'kill' }, { timeoutMs: 55_000 }))
  const neighbours = Promise.all(keys(18).map((key) => stub.echo({ key, ms: 50 }, { timeoutMs: 55_000 })))
  const ends = Promise.all(poisons.map((call) => call.outcome()))
  await restarting(stage, 2, Promise.all([neighbours, ends]))
  expect(await neighbours).toEqual(keys(18))
  for (const end of await ends) expect(end).toMatchObject({ error: { code: 'CRASHED', executed: 'unknown' } })
  const expected = poisons.map(({ id }) => ({ id, code: 'CRASHED' }))
  expect((await letters(stage)).toSorted((a, b) => a.id.localeCompare(b.id))).toEqual(expected)
})

test('twenty redeploys under load: nothing is kept, nothing is suspected', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const client = stage.client({ name: 'client', calls: 40, ms: 20 })
  await client.line('ready')
  let worker = stage.worker({ runs: true, concurrency: 2, prefetch: 20 })
  await worker.line('ready')
  const isolated: unknown[] = []
  for (let redeploy = 0; redeploy < 20; redeploy++) {
    await stage.ledger.answered(5)
    const next = stage.worker({ runs: true, concurrency: 2, prefetch: 20 })
    worker.signal('SIGTERM')
    expect(await worker.ended()).toBe(0)
    const counters = JSON.parse((await worker.line('closed')).slice('closed '.length)) as Record<string, number> // what commands.ts says
    isolated.push(counters['isolated'] ?? 0)
    worker = next
    await worker.line('ready')
  }
  client.tell('finish')
  await client.line('finished')
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect([again, await letters(stage)]).toEqual([[], []])
  expect(isolated).toEqual(Array.from({ length: 20 }, () => 0))
  await drained(stage)
})
