import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { judge } from './judge.ts'
import { setStage } from './processes.ts'
import { chaos } from './programs/service.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

test.for(['kill', 'exit', 'uncaught'] as const)(
  'a handler ends its process (%s): another worker answers, and its neighbours are not lost',
  async (how) => {
    const stage = setStage()
    const workers = [stage.worker(), stage.worker()]
    await Promise.all(workers.map((worker) => worker.line('ready')))
    const stub = stage.inProcess().service(chaos)
    const neighbours = keys(30).map((key) => stub.echo({ key, ms: 20 }))
    expect(await stub.fatal({ key: 'fatal', how })).toBe('fatal')
    expect(await Promise.all(neighbours)).toEqual(keys(30))
    const [ended, ...others] = workers.filter((worker) => !worker.isRunning)
    expect(others).toEqual([])
    expect(await ended?.ended()).toBe({ kill: null, exit: 3, uncaught: 1 }[how])
    ended?.expectEnd()
    const { again, unexplained } = await judge(stage)
    expect(again).toContain('fatal')
    expect(unexplained).toEqual([])
    expect(stage.ledger.story('fatal').runs).toMatchObject([
      { attempt: 1, isEnded: false },
      { attempt: 1, isEnded: true },
    ])
  },
)

test('a handler blocks its event loop: other workers go on, and it is answered', async () => {
  const stage = setStage({ peerSilenceMs: 7_000 })
  await stage.keeper().line('ready')
  const workers = [stage.worker({ concurrency: 1, prefetch: 1 }), stage.worker({ concurrency: 1, prefetch: 1 })]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const stub = stage.inProcess().service(chaos)
  const call = stub.block.start({ key: 'block', ms: 3_000 })
  await stage.ledger.begun(['block'])
  expect(await stub.echo.map(keys(30).map((key) => ({ key, ms: 1 }))).values()).toEqual(keys(30))
  expect(stage.ledger.story('block').runs).toMatchObject([{ isEnded: false }])
  expect(await call).toBe('block')
  const { again } = await judge(stage)
  expect(again).toEqual([])
})

test('a handler blocks the process of the hub for longer than the silence of a hub: the hub stays, calls go on', async () => {
  const stage = setStage({ peerSilenceMs: 7_000 })
  const host = stage.worker({ concurrency: 1, prefetch: 1 })
  await host.line('ready')
  expect(stage.hub()).toBe(host)
  const stub = stage.inProcess().service(chaos)
  const call = stub.block.start({ key: 'block', ms: 5_000 })
  await stage.ledger.begun(['block'])
  await stage.worker().line('ready')
  expect(await stub.echo.map(keys(30).map((key) => ({ key, ms: 1 }))).values()).toEqual(keys(30))
  expect(stage.ledger.story('block').runs).toMatchObject([{ isEnded: false }])
  expect(await call).toBe('block')
  expect(stage.hub()).toBe(host)
  const { again } = await judge(stage)
  expect(again).toEqual([])
})

test('a handler blocks its process for longer than its silence: its call and those beside it are answered elsewhere', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const blocked = stage.worker({ concurrency: 1 })
  await blocked.line('ready')
  const stub = stage.inProcess().service(chaos)
  const calls = [stub.block.start({ key: 'block', ms: 4_000 }), stub.echo.start({ key: 'beside', ms: 1 })]
  await stage.ledger.begun(['block'])
  const other = stage.worker()
  await other.line('ready')
  expect(await Promise.all(calls)).toEqual(['block', 'beside'])
  expect(stage.ledger.story('block').runs).toMatchObject([
    { pid: blocked.pid, isEnded: false },
    { pid: other.pid, isEnded: true },
  ])
  // It is back, and what ended here too late changes nothing.
  await eventually(async () => ((await blocked.counters())['lostDeliveries'] ?? 0) > 0, { what: 'it knows' })
  await judge(stage)
})

test('a handler blocks every worker for longer than its silence: its result is the answer, and the call does not go round', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const workers = [stage.worker({ concurrency: 1, prefetch: 1 }), stage.worker({ concurrency: 1, prefetch: 1 })]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const stub = stage.inProcess().service(chaos)
  const startedAt = performance.now()
  expect(await stub.stall({ key: 'stall', ms: 3_500 }, { timeoutMs: 30_000 })).toBe('stall')
  expect(performance.now() - startedAt).toBeLessThan(15_000)
  await judge(stage)
  // Each worker may have had it once; then it is known there.
  const { runs } = stage.ledger.story('stall')
  expect(new Set(runs.map(({ pid }) => pid)).size).toBe(runs.length)
  const counted = await Promise.all(workers.map((worker) => worker.counters()))
  expect(counted.reduce((sum, { lostDeliveries = 0 }) => sum + lostDeliveries, 0)).toBeGreaterThan(0)
})

test('a handler that never returns takes its slot only: the rest is answered, its call ends at its deadline', async () => {
  const stage = setStage()
  await stage.worker({ concurrency: 2 }).line('ready')
  const stub = stage.inProcess().service(chaos)
  const call = stub.never.start({ key: 'never' }, { timeoutMs: 1_500 })
  await stage.ledger.begun(['never'])
  expect(await stub.echo.map(keys(10).map((key) => ({ key, ms: 1 }))).values()).toEqual(keys(10))
  expect(await call.outcome()).toMatchObject({ status: 'error', error: { code: 'TIMEOUT', executed: 'unknown' } })
  expect(await stub.echo({ key: 'later', ms: 1 })).toBe('later')
  const { again } = await judge(stage)
  expect(again).toEqual([])
})
