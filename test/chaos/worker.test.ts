import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { drained, judge } from './judge.ts'
import { setStage } from './processes.ts'
import { openGates } from './programs/ledger-file.ts'
import { chaos } from './programs/service.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

test('a worker is killed with calls at work: they run again elsewhere as redeliveries, the others run once', async () => {
  const stage = setStage()
  const first = stage.worker()
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const held = keys(4)
  const calls = held.map((key) => stub.hold.start({ key }))
  await stage.ledger.begun(held)
  const second = stage.worker()
  await second.line('ready')
  const others = await stub.echo.map(['a', 'b', 'c'].map((key) => ({ key, ms: 1 }))).values()
  first.signal('SIGKILL')
  await stage.ledger.begun(held, 2)
  openGates(stage.root, ...held)
  expect(await Promise.all(calls)).toEqual(held)
  expect(others).toEqual(['a', 'b', 'c'])
  const { again, unexplained } = await judge(stage)
  expect(again.toSorted()).toEqual(held)
  expect(unexplained).toEqual([])
  // A crash is no failed attempt.
  expect(stage.ledger.story('k0').runs).toMatchObject([
    { attempt: 1, pid: first.pid, isEnded: false },
    { attempt: 1, pid: second.pid, isEnded: true },
  ])
})

test('a call that was at work in a killed worker and is cancelled while it waits again is not said never to have run', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const worker = stage.worker()
  await worker.line('ready')
  const client = stage.inProcess()
  const call = client.service(chaos).hold.start({ key: 'begun' })
  await stage.ledger.begun(['begun'])
  worker.signal('SIGKILL')
  await eventually(async () => (await client.queue(chaos).stats()).ready === 1, { what: 'it waits again' })
  call.cancel()
  expect(await call.outcome()).toMatchObject({ status: 'error', error: { code: 'CANCELLED', executed: 'unknown' } })
  await drained(stage)
})

test('a call that failed once and is cancelled while its next attempt waits in the broker is not said never to have run', async () => {
  const stage = setStage()
  await stage.worker().line('ready')
  const client = stage.inProcess()
  const call = client.service(chaos).postponed.start({ key: 'begun' })
  await eventually(async () => (await client.queue(chaos).stats()).delayed === 1, { what: 'its retry waits' })
  call.cancel()
  expect(await call.outcome()).toMatchObject({ status: 'error', error: { code: 'CANCELLED', executed: 'unknown' } })
  await drained(stage)
})

test('all workers are killed: a later one answers what waits, and what had not begun runs once', async () => {
  const stage = setStage()
  const workers = [stage.worker(), stage.worker()]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const stub = stage.inProcess().service(chaos)
  const all = keys(40)
  const calls = all.map((key) => stub.hold.start({ key }))
  await Promise.all(calls.map((call) => call.stored()))
  await stage.ledger.begun(all.slice(0, 1))
  for (const worker of workers) worker.signal('SIGKILL')
  await Promise.all(workers.map((worker) => worker.ended()))
  openGates(stage.root, ...all)
  const begunBefore = all.filter((key) => stage.ledger.story(key).runs.length > 0)
  const later = stage.worker()
  expect(await Promise.all(calls)).toEqual(all)
  const { again } = await judge(stage)
  expect(again.toSorted()).toEqual(begunBefore.toSorted())
  for (const key of all) expect(stage.ledger.story(key).runs.at(-1)?.pid).toBe(later.pid)
})

test('one worker after the other is killed under load: nothing is lost', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  let workers = [stage.worker(), stage.worker()]
  const client = stage.client({ name: 'client', ms: 20 })
  await client.line('ready')
  for (let kill = 0; kill < 6; kill++) {
    await stage.ledger.answered(30)
    const [oldest, ...others] = workers
    oldest?.signal('SIGKILL')
    const next = stage.worker()
    workers = [...others, next]
    await next.line('ready')
  }
  client.tell('finish')
  await client.line('finished')
  const { ends, unexplained } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(unexplained).toEqual([])
})

test('a worker is frozen and given up: its calls go elsewhere; thawed, it harms nothing and takes part again', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const first = stage.worker()
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const held = keys(4)
  const calls = held.map((key) => stub.hold.start({ key }))
  await stage.ledger.begun(held)
  const second = stage.worker()
  await second.line('ready')
  first.signal('SIGSTOP')
  await stage.ledger.begun(held, 2)
  openGates(stage.root, 'k0', 'k1')
  expect(await Promise.all(calls.slice(0, 2))).toEqual(['k0', 'k1'])
  // Its handlers see the loss, or end by the gates of the calls that are answered: both must change nothing.
  first.signal('SIGCONT')
  second.tell('close')
  expect(await stub.echo({ key: 'later', ms: 1 })).toBe('later')
  expect(stage.ledger.story('later').runs).toMatchObject([{ pid: first.pid }])
  openGates(stage.root, 'k2', 'k3')
  expect(await Promise.all(calls)).toEqual(held)
  const { again, unexplained } = await judge(stage)
  expect(again.toSorted()).toEqual(held)
  expect(unexplained).toEqual([])
})

test('a worker is frozen for less than its silence: it keeps its calls', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const first = stage.worker()
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const calls = keys(4).map((key) => stub.hold.start({ key }))
  await stage.ledger.begun(keys(4))
  const second = stage.worker()
  await second.line('ready')
  first.signal('SIGSTOP')
  // The others' progress shows that the broker went on meanwhile.
  for (const key of keys(20)) await stub.echo({ key: `while-${key}`, ms: 10 })
  openGates(stage.root, ...keys(4))
  first.signal('SIGCONT')
  expect(await Promise.all(calls)).toEqual(keys(4))
  const { again } = await judge(stage)
  expect(again).toEqual([])
})
