import { expect, onTestFinished, test } from 'vitest'
import { embedded } from '../../broker-adapters/embedded/index.ts'
import { createClient, type Client } from '../../client/index.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { answeredSince, begun, judge, readStories } from './judge.ts'
import { chaos } from './programs/service.ts'
import { setStage, type Stage } from './processes.ts'

function clientOf({ embedded: options }: Stage): Client {
  const client = createClient(embedded({ ...options, host: 'never' }), { log: () => {} })
  onTestFinished(() => client.close({ graceMs: 0 }))
  return client
}

test('a client is killed: its calls run, its queue drains, others go on', async () => {
  const stage = setStage()
  const worker = stage.worker()
  await worker.line('ready')
  const doomed = stage.client({ name: 'doomed', ms: 30 })
  const other = stage.client({ name: 'other' })
  await Promise.all([doomed.line('ready'), other.line('ready')])
  await answeredSince(stage.root, 50)
  doomed.signal('SIGKILL')
  await answeredSince(stage.root, 50)
  other.tell('finish')
  await other.line('finished')
  await judge(stage.root, { dead: ['doomed'] })
  const queue = clientOf(stage).queue(chaos)
  await eventually(async () => {
    const { ready, active, delayed } = await queue.stats()
    return ready === 0 && active === 0 && delayed === 0
  })
  expect(await clientOf(stage).service(chaos).echo({ key: 'later', ms: 1 })).toBe('later')
})

test('a client is frozen and goes on: each of its promises settles once', async () => {
  const stage = setStage()
  await stage.worker().line('ready')
  const client = stage.client({ name: 'frozen', embedded: { ...stage.embedded, host: 'never' } })
  const other = stage.client({ name: 'other', embedded: { ...stage.embedded, host: 'never' } })
  await Promise.all([client.line('ready'), other.line('ready')])
  await answeredSince(stage.root, 20)
  client.signal('SIGSTOP')
  // Given up means gone from the consumers and inboxes; the other's progress shows that the broker went on meanwhile.
  const stopped = Date.now()
  while (Date.now() - stopped < 2_500) await answeredSince(stage.root, 20)
  client.signal('SIGCONT')
  await answeredSince(stage.root, 100)
  for (const one of [client, other]) one.tell('finish')
  await Promise.all([client.line('finished'), other.line('finished')])
  expect((await judge(stage.root)).failed).toBe(0)
})

test('everything is killed: sends, delayed retries and dead letters are there for the next processes', async () => {
  const stage = setStage()
  const worker = stage.worker()
  await worker.line('ready')
  const first = clientOf(stage)
  const stub = first.service(chaos)
  await stub.late.send({ key: 'late' })
  await stub.broken.send({ key: 'broken' })
  await begun(stage.root, 'late', 'broken')
  await eventually(async () => {
    const { delayed, dead } = await first.queue(chaos).stats()
    return delayed === 1 && dead === 1
  })
  worker.signal('SIGKILL')
  await worker.exited
  await first.close({ graceMs: 0 })
  const sender = stage.client({ name: 'sender', calls: 0, sends: 4 })
  await sender.line('ready')
  await eventually(() => [...readStories(stage.root).values()].filter(({ sent }) => sent).length > 100)
  sender.signal('SIGKILL')
  await sender.exited
  await stage.worker().line('ready')
  const later = clientOf(stage)
  const letters = await allOf(later.queue(chaos).deadLetters.list())
  expect(letters).toMatchObject([{ method: 'broken', attempts: 1, error: { code: 'HANDLER_FAILED' } }])
  await eventually(() => readStories(stage.root).get('late')?.ends === 1, { what: 'the retry ran', within: 15_000 })
  expect(readStories(stage.root).get('late')?.attempts).toEqual([1, 2])
  await judge(stage.root, { dead: ['sender'] })
})
