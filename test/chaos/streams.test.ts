import { expect, test } from 'vitest'
import { allOf, eventually } from '../support/eventually.ts'
import { judge } from './judge.ts'
import { setStage } from './processes.ts'
import { openGates } from './programs/ledger-file.ts'
import { chaos } from './programs/service.ts'

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

test('a worker is killed before the first item of its streams: another one runs them, and all items are read', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const first = stage.worker()
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const held = ['a', 'b', 'c']
  const reading = held.map((key) => allOf(stub.flow({ key, ms: 1, count: 50, isHeld: true })))
  await stage.ledger.begun(held)
  await stage.worker().line('ready')
  first.signal('SIGKILL')
  await stage.ledger.begun(held, 2)
  openGates(stage.root, ...held)
  for (const read of await Promise.all(reading)) expect(read).toEqual(numbers(50))
  const { again, unexplained } = await judge(stage)
  expect(again.toSorted()).toEqual(held)
  expect(unexplained).toEqual([])
})

test('a worker is killed in the middle of a stream: what was read is in order, then CRASHED; the next one is served', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const first = stage.worker()
  await first.line('ready')
  const stub = stage.inProcess().service(chaos)
  const read: number[] = []
  const reading = (async () => {
    for await (const n of stub.flow({ key: 'cut', ms: 5, count: 100_000, isHeld: false })) {
      read.push(n)
      if (read.length === 20) first.signal('SIGKILL')
      if (read.length === 1) await stage.worker().line('ready')
    }
  })()
  await expect(reading).rejects.toMatchObject({ code: 'CRASHED', executed: 'unknown' })
  expect(read).toEqual(numbers(read.length))
  await eventually(() => stage.ledger.story('cut').runs.at(-1)?.isEnded, { what: 'the second run was told to end' })
  expect(await allOf(stub.flow({ key: 'next', ms: 0, count: 300, isHeld: false }))).toEqual(numbers(300))
})

test('the hub is killed in the middle of streams: their items go on, in order and each once', async () => {
  const stage = setStage()
  const hub = stage.keeper()
  await hub.line('ready')
  await stage.worker().line('ready')
  const stub = stage.inProcess().service(chaos)
  expect(stage.hub()).toBe(hub)
  const reading = ['a', 'b', 'c'].map(async (key) => {
    const read: number[] = []
    for await (const n of stub.flow({ key, ms: 5, count: 400, isHeld: false })) {
      read.push(n)
      if (key === 'a' && n === 30) hub.signal('SIGKILL')
    }
    return read
  })
  for (const read of await Promise.all(reading)) expect(read).toEqual(numbers(400))
  const { unexplained } = await judge(stage)
  expect(unexplained).toEqual([])
})

test('a client is killed while it reads streams: their generators end and free their slots, and others read on', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  await stage.worker({ concurrency: 3 }).line('ready')
  const lost = ['a', 'b']
  const doomed = stage.client({ name: 'doomed', calls: 0, sends: 0, flows: lost, timeoutMs: 2_000 })
  await doomed.line('reading')
  const stub = stage.inProcess().service(chaos)
  const reading = allOf(stub.flow({ key: 'other', ms: 5, count: 400, isHeld: false }))
  await stage.ledger.begun(['other'])
  doomed.signal('SIGKILL')
  expect(await reading).toEqual(numbers(400))
  await eventually(() => lost.every((key) => stage.ledger.story(key).runs[0]?.isEnded), {
    what: 'their generators have ended',
    within: 15_000,
  })
  const later = ['c', 'd', 'e']
  const together = later.map((key) => allOf(stub.flow({ key, ms: 0, count: 50, isHeld: true })))
  await stage.ledger.begun(later)
  openGates(stage.root, ...later)
  for (const read of await Promise.all(together)) expect(read).toEqual(numbers(50))
  const { again } = await judge(stage)
  expect(again).toEqual([])
})
