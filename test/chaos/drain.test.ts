import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { judge } from './judge.ts'
import { setStage } from './processes.ts'
import { openGates } from './programs/ledger-file.ts'
import { chaos } from './programs/service.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

test('SIGTERM drains: what runs is answered, what was not begun goes to others, nothing runs twice', async () => {
  const stage = setStage()
  const first = stage.worker({ runs: true, concurrency: 2 })
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const held = keys(4)
  const calls = held.map((key) => stub.hold.start({ key }))
  await Promise.all(calls.map((call) => call.stored()))
  await stage.ledger.begun(['k0', 'k1'])
  const second = stage.worker({ concurrency: 4 })
  await second.line('ready')
  expect(stage.ledger.story('k2').runs).toEqual([]) // held by the first
  first.signal('SIGTERM')
  await stage.ledger.begun(['k2', 'k3'])
  openGates(stage.root, ...held)
  expect(await Promise.all(calls)).toEqual(held)
  expect(await first.ended()).toBe(0)
  const { again } = await judge(stage)
  expect(again).toEqual([])
  for (const key of ['k0', 'k1']) expect(stage.ledger.story(key).runs).toMatchObject([{ pid: first.pid, attempt: 1 }])
  for (const key of ['k2', 'k3']) expect(stage.ledger.story(key).runs).toMatchObject([{ pid: second.pid, attempt: 1 }])
})

test('SIGTERM to one worker after the other under load, the hub among them: nothing fails, nothing runs twice', async () => {
  const stage = setStage()
  let workers = [stage.worker({ runs: true }), stage.worker({ runs: true })]
  await Promise.all(workers.map((worker) => worker.line('ready')))
  const client = stage.client({ name: 'client' })
  await client.line('ready')
  for (let round = 0; round < 4; round++) {
    await stage.ledger.answered(50)
    const [oldest, ...others] = workers
    const next = stage.worker({ runs: true })
    workers = [...others, next]
    await next.line('ready')
    oldest?.signal('SIGTERM')
    expect(await oldest?.ended()).toBe(0)
  }
  client.tell('finish')
  await client.line('finished')
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(again).toEqual([])
})

test('a second SIGTERM ends a worker at once; its call runs elsewhere', async () => {
  const stage = setStage()
  const first = stage.worker({ runs: true })
  await first.line('ready')
  const client = stage.inProcess()
  const call = client.service(chaos).stubborn.start({ key: 'stubborn' })
  await stage.ledger.begun(['stubborn'])
  first.signal('SIGTERM')
  await eventually(async () => (await client.queue(chaos).stats()).consumers === 0, { what: 'it drains' })
  first.expectEnd()
  first.signal('SIGTERM')
  expect(await first.ended()).toBe(143)
  const second = stage.worker()
  await stage.ledger.begun(['stubborn'], 2)
  openGates(stage.root, 'stubborn')
  expect(await call).toBe('stubborn')
  await judge(stage)
  expect(stage.ledger.story('stubborn').runs).toMatchObject([
    { pid: first.pid, attempt: 1, isEnded: false },
    { pid: second.pid, attempt: 1 },
  ])
})

test('a handler that never returns does not keep its worker past the grace, nor its process; another one answers', async () => {
  const stage = setStage()
  const first = stage.worker({ graceMs: 200 })
  await first.line('ready')
  const call = stage.inProcess().service(chaos).never.start({ key: 'never' })
  await stage.ledger.begun(['never'])
  const second = stage.worker()
  await second.line('ready')
  first.expectEnd()
  first.tell('close')
  expect(await first.ended()).toBe(0)
  expect(await call).toBe('never')
  await judge(stage)
  expect(stage.ledger.story('never').runs).toMatchObject([
    { pid: first.pid, isEnded: false },
    { pid: second.pid, isEnded: true },
  ])
})

test('a handler that ignores the end of the grace and returns later changes nothing', async () => {
  const stage = setStage()
  const first = stage.worker({ graceMs: 200 })
  await first.line('ready')
  const call = stage.inProcess().service(chaos).stubborn.start({ key: 'stubborn' })
  await stage.ledger.begun(['stubborn'])
  const second = stage.worker()
  await second.line('ready')
  first.expectEnd()
  first.tell('close')
  await stage.ledger.begun(['stubborn'], 2)
  openGates(stage.root, 'stubborn')
  expect(await call).toBe('stubborn')
  expect(await first.ended()).toBe(0)
  await judge(stage)
  expect(stage.ledger.story('stubborn').runs).toMatchObject([{ pid: first.pid }, { pid: second.pid }])
})
