import { expect, test } from 'vitest'
import { latestEpoch } from '../../broker-adapters/embedded/election.ts'
import { eventually } from '../support/eventually.ts'
import { answeredSince, judge } from './judge.ts'
import { setStage, type Child, type Stage } from './processes.ts'

/** Two workers and two clients under load, and what a hub of theirs has to bear. */
async function underLoad(stage: Stage): Promise<{ readonly clients: Child[]; readonly workers: Child[] }> {
  const workers = [stage.worker(), stage.worker()]
  const clients = [stage.client({ name: 'a' }), stage.client({ name: 'b' })]
  await Promise.all([...workers, ...clients].map((child) => child.line('ready')))
  await answeredSince(stage.root, 50)
  return { clients, workers }
}

async function finish(clients: readonly Child[]): Promise<void> {
  for (const client of clients) client.tell('finish')
  await Promise.all(clients.map((client) => client.line('finished')))
}

test('the process that keeps the queues is killed under load, again and again: nothing is lost', async () => {
  const stage = setStage()
  const start = (name: string): { name: string; child: Child } => {
    const child = name.startsWith('worker') ? stage.worker() : stage.client({ name })
    return { name, child }
  }
  const living = ['worker-1', 'worker-2', 'client-1', 'client-2'].map(start)
  await Promise.all(living.map(({ child }) => child.line('ready')))
  const dead: string[] = []
  for (let kill = 0; kill < 5; kill++) {
    await answeredSince(stage.root, 100)
    const at = living.findIndex(({ child }) => child.pid === stage.hubPid())
    const [killed] = living.splice(at, 1)
    if (at < 0 || killed === undefined) throw new Error(`the hub ${stage.hubPid()} is none of ours`)
    dead.push(killed.name)
    killed.child.signal('SIGKILL')
    const next = start(`${killed.name}-${kill}`)
    living.push(next)
    await next.child.line('ready')
  }
  await answeredSince(stage.root, 100)
  await finish(living.filter(({ name }) => name.startsWith('client')).map(({ child }) => child))
  const verdict = await judge(stage.root, { dead })
  expect(verdict.failed).toBe(0)
  expect(verdict.answered).toBeGreaterThan(600)
})

test('the process that keeps the queues holds no call: when it is killed, what runs elsewhere does not run twice', async () => {
  const stage = setStage()
  const keeper = stage.client({ name: 'keeper', calls: 0, sends: 0 })
  await keeper.line('ready')
  const { clients } = await underLoad(stage)
  expect(stage.hubPid()).toBe(keeper.pid)
  keeper.signal('SIGKILL')
  await answeredSince(stage.root, 200)
  await finish(clients)
  const verdict = await judge(stage.root)
  expect(verdict.failed).toBe(0)
  expect(verdict.again).toEqual([])
})

test('the process that keeps the queues is frozen past its silence and thawed: nothing is lost, nobody is told twice', async () => {
  const stage = setStage()
  const keeper = stage.client({ name: 'keeper', calls: 2, sends: 2 })
  await keeper.line('ready')
  const { clients } = await underLoad(stage)
  expect(stage.hubPid()).toBe(keeper.pid)
  const epoch = latestEpoch(stage.embedded.dir)
  keeper.signal('SIGSTOP')
  await eventually(() => latestEpoch(stage.embedded.dir) > epoch, {
    what: 'another one keeps the queues',
    within: 15_000,
  })
  await answeredSince(stage.root, 100)
  keeper.signal('SIGCONT')
  await answeredSince(stage.root, 100)
  await finish([...clients, keeper])
  const verdict = await judge(stage.root)
  expect(verdict.failed).toBe(0)
})

test('the process that keeps the queues exits in the middle of everything: the others go on', async () => {
  const stage = setStage()
  const keeper = stage.client({ name: 'keeper' })
  await keeper.line('ready')
  const { clients } = await underLoad(stage)
  expect(stage.hubPid()).toBe(keeper.pid)
  keeper.tell('exit')
  expect(await keeper.exited).toBe(0)
  await answeredSince(stage.root, 100)
  await finish(clients)
  const verdict = await judge(stage.root, { dead: ['keeper'] })
  expect(verdict.failed).toBe(0)
})

test('the worker that keeps the queues closes under load: its calls are answered, the others go on', async () => {
  const stage = setStage()
  const keeper = stage.worker()
  await keeper.line('ready')
  const { clients } = await underLoad(stage)
  expect(stage.hubPid()).toBe(keeper.pid)
  keeper.tell('close')
  await keeper.line('closed')
  expect(await keeper.exited).toBe(0)
  await answeredSince(stage.root, 100)
  await finish(clients)
  const verdict = await judge(stage.root)
  expect(verdict.failed).toBe(0)
  expect(verdict.again).toEqual([])
})
