import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { allOf, eventually } from '../support/eventually.ts'
import { drained, judge } from './judge.ts'
import { setStage, type Stage } from './processes.ts'
import { openGates } from './programs/ledger-file.ts'
import { chaos } from './programs/service.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)
/** Longer than a silent process is kept. */
const pastSilence = (stage: Stage): Promise<void> => sleep((stage.embedded.peerSilenceMs ?? 0) + 500)

test('a client is killed under load: its calls run once, its queue drains, others go on, a later one works', async () => {
  const stage = setStage()
  await stage.worker().line('ready')
  const doomed = stage.client({ name: 'doomed', ms: 30 })
  const other = stage.client({ name: 'other' })
  await Promise.all([doomed.line('ready'), other.line('ready')])
  await stage.ledger.answered(50)
  doomed.signal('SIGKILL')
  await stage.ledger.answered(50)
  other.tell('finish')
  await other.line('finished')
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(again).toEqual([])
  expect(await stage.inProcess().service(chaos).echo({ key: 'later', ms: 1 })).toBe('later')
})

test('replies to a client that was killed go nowhere, which is counted once its inbox is gone', async () => {
  const stage = setStage()
  const worker = stage.worker({ concurrency: 50 })
  await worker.line('ready')
  const held = keys(50)
  const client = stage.client({ name: 'doomed', calls: 0, sends: 0, held, replyLeaseMs: 1_000 })
  await client.line('ready')
  await stage.ledger.begun(held)
  client.signal('SIGKILL')
  await client.ended()
  let opened = 0
  await eventually(
    async () => {
      openGates(stage.root, `k${opened++}`)
      await sleep(50)
      return ((await worker.counters())['repliesGone'] ?? 0) > 0
    },
    { what: 'a reply found its inbox gone' },
  )
  openGates(stage.root, ...held)
  await drained(stage)
  for (const key of held) expect(stage.ledger.story(key).runs).toMatchObject([{ attempt: 1, isEnded: true }])
})

test('a client is frozen while its calls are answered, and given up: thawed, each of its promises settles once', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  await stage.worker().line('ready')
  const held = keys(4)
  const client = stage.client({ name: 'frozen', held, calls: 0, sends: 0 })
  await client.line('ready')
  await stage.ledger.begun(held)
  client.signal('SIGSTOP')
  openGates(stage.root, 'k0', 'k1')
  await pastSilence(stage)
  openGates(stage.root, 'k2', 'k3')
  await eventually(() => held.every((key) => stage.ledger.story(key).runs[0]?.isEnded))
  client.signal('SIGCONT')
  client.tell('finish')
  await client.line('finished')
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: held.length })
  expect(again).toEqual([])
})

test('a client is frozen under load and goes on: each of its promises settles once', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  await stage.worker().line('ready')
  const client = stage.client({ name: 'frozen' })
  const other = stage.client({ name: 'other' })
  await Promise.all([client.line('ready'), other.line('ready')])
  await stage.ledger.answered(50)
  client.signal('SIGSTOP')
  await pastSilence(stage)
  client.signal('SIGCONT')
  await stage.ledger.answered(100)
  for (const one of [client, other]) one.tell('finish')
  await Promise.all([client.line('finished'), other.line('finished')])
  const { ends, again } = await judge(stage)
  expect(ends).toEqual({ ok: expect.any(Number) })
  expect(again).toEqual([])
})

test('a client is frozen past the deadlines of its calls: thawed, each settles once, and truthfully', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  await stage.worker().line('ready')
  const client = stage.client({ name: 'frozen', seed: 1, timeoutMs: 1_000 })
  await client.line('ready')
  await stage.ledger.answered(50)
  client.signal('SIGSTOP')
  await pastSilence(stage)
  client.signal('SIGCONT')
  client.tell('finish')
  await client.line('finished')
  const { ends } = await judge(stage, { mayTimeOut: true })
  expect(ends['ok']).toBeGreaterThan(0)
})

test('everything is killed: sends, delayed retries, calls and dead letters are there for the next processes', async () => {
  const stage = setStage()
  const worker = stage.worker()
  await worker.line('ready')
  const first = stage.inProcess()
  const stub = first.service(chaos)
  await stub.late.send({ key: 'late' })
  await stub.broken.send({ key: 'broken' })
  await stage.ledger.begun(['late', 'broken'])
  await eventually(
    async () => {
      const { delayed, dead } = await first.queue(chaos).stats()
      return delayed === 1 && dead === 1
    },
    { what: 'one is delayed, one is dead' },
  )
  await first.close()
  worker.signal('SIGKILL')
  await worker.ended()
  const sender = stage.client({ name: 'sender', calls: 8, sends: 4 })
  await sender.line('ready')
  await stage.ledger.sent(100)
  sender.signal('SIGKILL')
  await sender.ended()
  const next = stage.worker()
  await next.line('ready')
  const letters = await allOf(stage.inProcess().queue(chaos).deadLetters.list())
  expect(letters).toMatchObject([{ method: 'broken', attempts: 1, error: { code: 'HANDLER_FAILED' } }])
  const { sent, again } = await judge(stage)
  expect(sent).toBeGreaterThanOrEqual(100)
  expect(again).toEqual([])
  expect(stage.ledger.story('late').runs).toMatchObject([
    { attempt: 1, pid: worker.pid, isEnded: true },
    { attempt: 2, pid: next.pid, isEnded: true },
  ])
  // What its callers do not wait for any more runs once all the same.
  for (let last = 1; last <= 8; last++) expect(stage.ledger.story(`sender.c${last}`).runs).toHaveLength(1)
})

test('a client is killed, then the worker of its kept calls, then the hub: whoever attaches by id has each outcome', async () => {
  const stage = setStage()
  await stage.keeper().line('ready')
  const worker = stage.worker({ concurrency: 20 })
  await worker.line('ready')
  const held = keys(20)
  const doomed = stage.client({ name: 'doomed', calls: 0, sends: 0, held, keepMs: 600_000 })
  await doomed.line('ready')
  await stage.ledger.begun(held)
  doomed.signal('SIGKILL')
  const { hold } = stage.inProcess().service(chaos)
  const attached = held.map((key) => hold.attach(key))
  await Promise.all(attached.map((call) => call.stored()))
  worker.signal('SIGKILL')
  openGates(stage.root, ...held)
  await stage.worker({ concurrency: 20 }).line('ready')
  expect(await Promise.all(attached)).toEqual(held)
  stage.hub().signal('SIGKILL')
  expect(await Promise.all(held.map((key) => hold.attach(key)))).toEqual(held)
  await drained(stage)
})
