import { expect } from 'vitest'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { HEADER, integerHeader } from '../../../protocol/headers.ts'
import type { Worker } from '../../../worker/types.ts'
import { allOf, eventually } from '../../support/eventually.ts'
import type { FaultyTarget } from '../../support/faulty-adapter.ts'
import { claimsOf } from '../case.ts'
import { queueRef, type CaseContext, type Wired } from '../case-context.ts'
import { callOf, errorOf, type Job } from '../probe.ts'
import { isEmpty, publishAll } from '../seam/collect-deliveries.ts'

const { cases, claim } = claimsOf('versions')
export const versions = cases

const job = type<Job>()
const output = type<string>()
const old = defineService('probe', { version: '1.2.0', methods: { work: method({ input: job, output }) } })
const renewed = defineService('probe', {
  version: '1.3.0',
  methods: {
    work: method({ input: job, output }),
    added: method({ input: job, output }),
    noted: method({ input: job, oneWay: true }),
  },
})

function serveOld(t: CaseContext, options: Wired = {}): Promise<Worker> {
  return t.serve(old, { work: ({ key }) => (t.ledger.enter(`old ${key}`), `old ${key}`) }, options)
}
function serveNew(t: CaseContext): Promise<Worker> {
  return t.serve(renewed, {
    work: ({ key }) => `new ${key}`,
    added: ({ key }) => (t.ledger.enter(key), `added ${key}`),
    noted: ({ key }) => t.ledger.enter(key),
  })
}

/** How often each message was put back, by what came to this worker. */
function givenTo({ faults }: FaultyTarget): number {
  const given = faults.events.of('delivery').map(({ headers }) => integerHeader(headers ?? {}, HEADER.given) ?? 0)
  return Math.max(0, ...given)
}

claim(
  'old and new workers side by side: each call is answered by one that knows it, and the old ones do not spin',
  async (t) => {
    const wire = t.wire()
    const tuning = { newerHoldMs: 50 }
    const older = await serveOld(t, { wire, tuning })
    const startedAt = performance.now()
    const stub = t.client().service(renewed)
    const keys = Array.from({ length: 12 }, (_, index) => `k${index}`)
    const early = keys.map((key) => stub.added({ key }))
    await eventually(() => (older.counters['leftToNewer'] ?? 0) >= 12)
    // Meanwhile it does what it knows.
    expect(await stub.work({ key: 'known' })).toBe('old known')
    await serveNew(t)
    const later = keys.map((key) => stub.added({ key: `later ${key}` }))
    expect(await Promise.all([...early, ...later])).toEqual([
      ...keys.map((key) => `added ${key}`),
      ...keys.map((key) => `added later ${key}`),
    ])
    for (const key of t.ledger.keys) expect([key, t.ledger.runs(key)]).toEqual([key, 1])
    // Held for 50, 100, 200, 400, then 500 ms each: no more could be put back than there was time for.
    const longest = performance.now() - startedAt
    const holds = [50, 100, 200, 400, ...Array.from({ length: 40 }, () => 500)]
    const most = holds.findIndex((_, index) => holds.slice(0, index + 1).reduce((sum, ms) => sum + ms, 0) > longest)
    expect(givenTo(wire)).toBeGreaterThan(0)
    expect(givenTo(wire)).toBeLessThanOrEqual(most)
    await isEmpty(await t.adapter(), queueRef())
  },
)

claim('a rolling deploy under load loses nothing', async (t) => {
  let workers = [await serveOld(t), await serveOld(t)]
  const client = t.client()
  const stub = client.service(renewed)
  const calls: Promise<string>[] = []
  let isDone = false
  const load = (async () => {
    for (let index = 0; !isDone; index++) {
      calls.push(index % 2 === 0 ? stub.work({ key: 'x' }) : stub.added({ key: `k${index}` }))
      await stub.noted.send({ key: `n${index}` })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  for (const _ of [1, 2]) {
    const [leaving, ...rest] = workers
    workers = [...rest, await serveNew(t)]
    await leaving?.close()
  }
  isDone = true
  await load
  const answers = await Promise.all(calls)
  expect(answers.filter((answer) => answer.startsWith('added'))).toHaveLength(Math.floor(calls.length / 2))
  const noted = calls.map((_, index) => `n${index}`)
  await eventually(() => noted.every((key) => t.ledger.runs(key) > 0))
  await isEmpty(await t.adapter(), queueRef())
  for (const key of noted) expect([key, t.ledger.runs(key)]).toEqual([key, 1])
  expect((await client.queue(renewed).stats()).dead).toBe(0)
})

claim('without a newer worker the caller learns why before its deadline, and that it did not run', async (t) => {
  const worker = await serveOld(t)
  const startedAt = performance.now()
  const error = await errorOf(t.client().service(renewed).added({ key: 'a' }, { timeoutMs: 1_500 }))
  expect(error).toMatchObject({ code: 'UNKNOWN_METHOD' })
  expect(error.executed).toBe(t.capabilities.provesFirstDelivery ? 'no' : 'unknown')
  expect(performance.now() - startedAt).toBeGreaterThan(1_000)
  // Each time for at most half of what is left, and for 50 ms at least.
  expect(worker.counters['leftToNewer']).toBeGreaterThanOrEqual(1)
  expect(worker.counters['leftToNewer']).toBeLessThanOrEqual(8)
})

claim('a worker as new as the caller refuses at once', async (t) => {
  await serveNew(t)
  const same = defineService('probe', { version: '1.3.0', methods: { other: method({ input: job, output }) } })
  const startedAt = performance.now()
  expect(await errorOf(t.client().service(same).other({ key: 'a' }))).toMatchObject({ code: 'UNKNOWN_METHOD' })
  const error = await errorOf(
    t
      .client()
      .service(old)
      .work({ key: 'a' })
      .then(() => t.client().service(same).other({ key: 'b' })),
  )
  expect(error.code).toBe('UNKNOWN_METHOD')
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})

claim('a send waits for a newer worker, and is kept when none has come for long', async (t) => {
  const worker = await serveOld(t, { tuning: { newerWorkerMs: 1_600 } })
  const client = t.client()
  await client.service(renewed).noted.send({ key: 'a' })
  await eventually(async () => (await client.queue(renewed).stats()).dead === 1)
  const [letter] = await allOf(client.queue(renewed).deadLetters.list())
  expect(letter).toMatchObject({ method: 'noted', error: { code: 'UNKNOWN_METHOD' }, attempts: 1 })
  // 0.5 and 1 s in full, then what was left.
  expect(worker.counters['leftToNewer']).toBe(2)
})

claim(
  'what is written in a newer protocol, or an encoding of a newer contract, is left to newer workers too',
  async (t) => {
    const worker = await serveOld(t)
    const send = (headers: Readonly<Record<string, string>>, contentEncoding?: string) =>
      callOf({ key: 'a' }, { type: 'send', contentEncoding, headers: { [HEADER.method]: 'work', ...headers } })
    await publishAll(await t.adapter(), queueRef(), [
      send({ [HEADER.version]: '2' }),
      send({ [HEADER.contractVersion]: '1.10.0' }, 'zstd'),
      send({ [HEADER.contractVersion]: '1.2.0' }, 'zstd'), // as old as the worker: nobody will know it
      send({ [HEADER.contractVersion]: '1.10.0' }),
    ])
    await eventually(() => worker.counters['leftToNewer'] === 2)
    expect(worker.counters).toMatchObject({ invalidMessages: 1, completed: 1, deadLettered: 1 })
  },
)

claim('a worker that closes while it holds such a call gives it back at once', async (t) => {
  const older = await serveOld(t)
  const call = t.client().service(renewed).added.start({ key: 'a' })
  await eventually(() => older.health().queues[0]?.held === 1)
  await older.close()
  await serveNew(t)
  expect(await call).toBe('added a')
})

claim('what is left to newer workers keeps its turn among those of its key', async (t) => {
  const keyed = method({ input: job, output, keyed: true })
  const before = defineService('probe', { version: '1.2.0', methods: { work: keyed } })
  const after = defineService('probe', { version: '1.3.0', methods: { work: keyed, added: keyed } })
  const work = ({ key }: Job): string => key
  const older = await t.serve(before, { work }, { tuning: { newerHoldMs: 50 } })
  const stub = t.client().service(after)
  const keys = ['first', 'second', 'third']
  const answers = keys.map((key) => stub.added({ key }, { key: 'account-1' }))
  await eventually(() => (older.counters['leftToNewer'] ?? 0) >= 2)
  await t.serve(after, { work, added: ({ key }) => (t.ledger.enter(key), key) })
  expect(await Promise.all(answers)).toEqual(keys)
  expect(t.ledger.entries).toEqual(keys)
})
