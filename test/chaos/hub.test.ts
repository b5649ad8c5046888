import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { latestEpoch } from '../../broker-adapters/embedded/election.ts'
import { eventually } from '../support/eventually.ts'
import type { Child } from './child.ts'
import { judge } from './judge.ts'
import { setStage, type Stage } from './processes.ts'

type Role = 'worker' | 'client' | 'keeper'
const ROLES: readonly Role[] = ['client', 'worker', 'keeper']

function start(stage: Stage, role: Role, name: string): Child {
  if (role === 'worker') return stage.worker()
  return stage.client(role === 'client' ? { name } : { name, calls: 0, sends: 0 })
}

interface Load {
  readonly hub: Child
  readonly clients: readonly Child[]
}

/** The hub in a process of that role; two workers and two clients under load besides. */
async function underLoad(stage: Stage, role: Role): Promise<Load> {
  const hub = start(stage, role, 'hub')
  await hub.line('ready')
  expect(stage.hub()).toBe(hub)
  const clients = [stage.client({ name: 'a' }), stage.client({ name: 'b' })]
  await Promise.all([stage.worker(), stage.worker(), ...clients].map((child) => child.line('ready')))
  await stage.ledger.answered(100)
  return { hub, clients }
}

async function finish(clients: readonly Child[]): Promise<void> {
  for (const client of clients) client.tell('finish')
  await Promise.all(clients.map((client) => client.line('finished')))
}

async function succeeded(stage: Stage, epoch: number): Promise<void> {
  await eventually(() => latestEpoch(stage.embedded.dir) > epoch, { what: 'there is another hub', within: 15_000 })
}

test.for(ROLES)('the hub is in a %s that is killed under load: only what ran in it runs again', async (role) => {
  const stage = setStage()
  const { hub, clients } = await underLoad(stage, role)
  hub.signal('SIGKILL')
  await stage.ledger.answered(200)
  await finish(clients)
  const { ends, again, unexplained } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(unexplained).toEqual([])
  if (role !== 'worker') expect(again).toEqual([])
})

test('the process of the hub is killed under load, five times in a row: no confirmed send and no call is lost', async () => {
  const stage = setStage()
  const living = new Map<Child, Role>()
  for (const [index, role] of (['worker', 'worker', 'client', 'client', 'keeper'] as const).entries())
    living.set(start(stage, role, `p${index}`), role)
  await Promise.all([...living.keys()].map((child) => child.line('ready')))
  for (let kill = 0; kill < 5; kill++) {
    await stage.ledger.answered(100)
    const epoch = latestEpoch(stage.embedded.dir)
    const hub = stage.hub()
    const role = living.get(hub)
    if (role === undefined) throw new Error(`the hub is in ${hub.describe()}`)
    hub.signal('SIGKILL')
    living.delete(hub)
    await succeeded(stage, epoch)
    const next = start(stage, role, `r${kill}`)
    living.set(next, role)
    await next.line('ready')
  }
  await stage.ledger.answered(100)
  await finish([...living].filter(([, role]) => role === 'client').map(([child]) => child))
  const { ends, sent, unexplained } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(sent).toBeGreaterThan(100)
  expect(unexplained).toEqual([])
})

test.for(ROLES)('the hub is in a %s that is frozen past its silence and thawed: nothing is lost', async (role) => {
  const stage = setStage()
  const { hub, clients } = await underLoad(stage, role)
  const epoch = latestEpoch(stage.embedded.dir)
  hub.signal('SIGSTOP')
  await succeeded(stage, epoch)
  await stage.ledger.answered(100)
  hub.signal('SIGCONT')
  await stage.ledger.answered(100)
  await finish(role === 'client' ? [...clients, hub] : clients)
  const { ends, unexplained } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(unexplained).toEqual([])
})

test('the hub is frozen, its successor is killed, and only then it thaws: nothing is lost, nobody believes the old one', async () => {
  const stage = setStage()
  const { hub, clients } = await underLoad(stage, 'keeper')
  const others = [start(stage, 'keeper', 'second'), start(stage, 'keeper', 'third')]
  await Promise.all(others.map((child) => child.line('ready')))
  for (let round = 0; round < 2; round++) {
    const epoch = latestEpoch(stage.embedded.dir)
    stage.hub().signal(round === 0 ? 'SIGSTOP' : 'SIGKILL')
    await succeeded(stage, epoch)
    await stage.ledger.answered(50)
  }
  hub.signal('SIGCONT')
  await stage.ledger.answered(100)
  expect(stage.hub()).not.toBe(hub)
  const surviving = clients.filter((client) => client.isRunning)
  await finish(surviving)
  const { ends, unexplained } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(unexplained).toEqual([])
})

test.for(['client', 'worker'] as const)(
  'the hub is in a %s whose process exits without a close, in the middle of everything: the others go on',
  async (role) => {
    const stage = setStage()
    const { hub, clients } = await underLoad(stage, role)
    hub.tell('exit')
    expect(await hub.ended()).toBe(0)
    await stage.ledger.answered(100)
    await finish(clients)
    const { ends, unexplained } = await judge(stage)
    expect(ends).toEqual({ ok: expect.any(Number) })
    expect(unexplained).toEqual([])
  },
)

test('the hub is in a worker that closes under load: its calls are answered, nothing runs twice', async () => {
  const stage = setStage()
  const { hub, clients } = await underLoad(stage, 'worker')
  hub.tell('close')
  await hub.line('closed')
  expect(await hub.ended()).toBe(0)
  await stage.ledger.answered(100)
  await finish(clients)
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(again).toEqual([])
})

test('a hub that has nothing to do stays the hub, however rarely it asks others whether they live', async () => {
  const stage = setStage({ silenceMs: 500, peerSilenceMs: 20_000 })
  await stage.keeper().line('ready')
  await stage.client({ name: 'other', calls: 0, sends: 0 }).line('ready')
  const epoch = latestEpoch(stage.embedded.dir)
  await sleep(2_000)
  expect(latestEpoch(stage.embedded.dir)).toBe(epoch)
})
