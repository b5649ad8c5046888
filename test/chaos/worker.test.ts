import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { createClient, type Client } from '../../client/index.ts'
import { embedded } from '../../broker-adapters/embedded/index.ts'
import { eventually } from '../support/eventually.ts'
import { begun, judge, readStories } from './judge.ts'
import { openGate } from './programs/ledger-file.ts'
import { chaos } from './programs/service.ts'
import { setStage, type Stage } from './processes.ts'

/** A client in the test's own process, which never keeps the queues. */
function clientOf({ embedded: options }: Stage): Client {
  const client = createClient(embedded({ ...options, host: 'never' }), { log: () => {} })
  onTestFinished(() => client.close({ graceMs: 0 }))
  return client
}
const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

test('a worker is killed with calls at work: they run again elsewhere, the others run once', async () => {
  const stage = setStage()
  const first = stage.worker()
  await first.line('ready')
  const stub = clientOf(stage).service(chaos)
  const held = keys(4)
  const calls = held.map((key) => stub.hold.start({ key }))
  await begun(stage.root, ...held)
  const second = stage.worker()
  await second.line('ready')
  const others = await stub.echo.map(['a', 'b', 'c'].map((key) => ({ key, ms: 1 }))).values()
  first.signal('SIGKILL')
  await eventually(() => held.every((key) => readStories(stage.root).get(key)?.begins === 2), {
    what: 'they run again',
  })
  for (const key of held) openGate(stage.root, key)
  expect(await Promise.all(calls)).toEqual(held)
  expect(others).toEqual(['a', 'b', 'c'])
  const { again } = await judge(stage.root)
  expect([...again].toSorted()).toEqual(held)
  const story = readStories(stage.root).get('k0')
  expect(story?.pids).toEqual([first.pid, second.pid])
  expect(story?.attempts).toEqual([1, 1])
})

test('all workers are killed; a later one answers what waits', async () => {
  const stage = setStage()
  const workers = [stage.worker(), stage.worker()]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const stub = clientOf(stage).service(chaos)
  const held = keys(12)
  const calls = held.map((key) => stub.hold.start({ key }))
  await Promise.all(calls.map((call) => call.stored()))
  await begun(stage.root, 'k0')
  for (const worker of workers) worker.signal('SIGKILL')
  for (const key of held) openGate(stage.root, key)
  await stage.worker().line('ready')
  expect(await Promise.all(calls)).toEqual(held)
  await judge(stage.root)
})

test('a worker is frozen and given up: its calls go elsewhere; thawed, it harms nothing and takes part again', async () => {
  const stage = setStage()
  await stage.client({ name: 'keeper', calls: 0, sends: 0 }).line('ready') // keeps the queues, so that the hub is not frozen
  const first = stage.worker({ embedded: { ...stage.embedded, host: 'never' } })
  await first.line('ready')
  const stub = clientOf(stage).service(chaos)
  const call = stub.hold.start({ key: 'frozen' })
  await begun(stage.root, 'frozen')
  first.signal('SIGSTOP')
  const second = stage.worker({ embedded: { ...stage.embedded, host: 'never' } })
  await second.line('ready')
  await eventually(() => readStories(stage.root).get('frozen')?.pids.includes(second.pid), {
    what: 'it runs elsewhere',
  })
  openGate(stage.root, 'frozen')
  expect(await call).toBe('frozen')
  first.signal('SIGCONT')
  second.tell('close')
  await second.line('closed')
  expect(await stub.echo({ key: randomUUID(), ms: 1 })).toBeTypeOf('string')
  const { again } = await judge(stage.root)
  expect(again).toEqual(['frozen'])
})

test('SIGTERM drains: what runs is answered, what was not begun goes to others, nothing runs twice', async () => {
  const stage = setStage()
  const first = stage.worker({ runs: true, concurrency: 2 })
  await first.line('ready')
  const stub = clientOf(stage).service(chaos)
  const held = keys(4)
  const calls = held.map((key) => stub.hold.start({ key }))
  await Promise.all(calls.map((call) => call.stored()))
  await begun(stage.root, 'k0', 'k1')
  first.signal('SIGTERM')
  const second = stage.worker({ concurrency: 4 })
  await begun(stage.root, 'k2', 'k3')
  for (const key of held) openGate(stage.root, key)
  expect(await Promise.all(calls)).toEqual(held)
  expect(await first.exited).toBe(0)
  const { again } = await judge(stage.root)
  expect(again).toEqual([])
  expect(readStories(stage.root).get('k3')).toMatchObject({ pids: [second.pid], attempts: [1] })
})

test('a second SIGTERM ends a worker at once; its call runs elsewhere', async () => {
  const stage = setStage()
  const first = stage.worker({ runs: true })
  await first.line('ready')
  const call = clientOf(stage).service(chaos).stubborn.start({ key: 'stubborn' })
  await begun(stage.root, 'stubborn')
  first.signal('SIGTERM')
  await eventually(async () => (await clientOf(stage).queue(chaos).stats()).consumers === 0, { what: 'it drains' })
  first.signal('SIGTERM')
  expect(await first.exited).not.toBe(0)
  const second = stage.worker()
  await eventually(() => readStories(stage.root).get('stubborn')?.pids.includes(second.pid), {
    what: 'it runs elsewhere',
  })
  openGate(stage.root, 'stubborn')
  expect(await call).toBe('stubborn')
})

test('a handler that ignores its signal past the grace does not keep its worker', async () => {
  const stage = setStage()
  const first = stage.worker({ graceMs: 100 })
  await first.line('ready')
  const call = clientOf(stage).service(chaos).stubborn.start({ key: 'stubborn' })
  await begun(stage.root, 'stubborn')
  first.tell('close')
  await first.line('closed')
  const second = stage.worker()
  await eventually(() => readStories(stage.root).get('stubborn')?.pids.includes(second.pid), {
    what: 'it runs elsewhere',
  })
  openGate(stage.root, 'stubborn')
  expect(await call).toBe('stubborn')
})

test('a handler ends its process: another worker answers, and its neighbours are not lost', async () => {
  const stage = setStage()
  const workers = [stage.worker(), stage.worker()]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const stub = clientOf(stage).service(chaos)
  const neighbours = keys(20).map((key) => stub.echo({ key, ms: 20 }))
  expect(await stub.fatal({ key: 'fatal' })).toBe('fatal')
  expect(await Promise.all(neighbours)).toEqual(keys(20))
  await judge(stage.root)
})

test('a handler blocks its event loop: other workers go on, and it is answered', async () => {
  const stage = setStage()
  await stage.client({ name: 'keeper', calls: 0, sends: 0 }).line('ready')
  const blocked = stage.worker({
    concurrency: 1,
    embedded: { ...stage.embedded, host: 'never', peerSilenceMs: 30_000 },
  })
  await blocked.line('ready')
  const stub = clientOf(stage).service(chaos)
  const call = stub.block.start({ key: 'block', ms: 1_000 })
  await begun(stage.root, 'block')
  await stage.worker().line('ready')
  const others = keys(30).map((key) => stub.echo({ key, ms: 1 }))
  expect(await Promise.all(others)).toHaveLength(30)
  expect(await call).toBe('block')
  const { again } = await judge(stage.root)
  expect(again).toEqual([])
})
