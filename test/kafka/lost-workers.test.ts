import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafka, type KafkaOptions } from '../../broker-adapters/kafka/index.ts'
import { openWire } from '../../broker-adapters/kafka/open-wire.ts'
import { resolveKafkaOptions } from '../../broker-adapters/kafka/options.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { aborted } from '../conformance/probe.ts'
import { eventually } from '../support/eventually.ts'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { jobs } from '../support/load.ts'
import { SHORT_SESSIONS } from './targets.ts'
import { startWorkerProcess } from './worker-process.ts'

const { hasPackage } = inject('kafka')

interface Scene {
  readonly namespace: string
  readonly client: Client
  /** Another worker, in this process. */
  readonly rescue: () => Promise<Worker>
  /** What that one ran of `work`. */
  readonly works: readonly string[]
  /** And of `post`. */
  readonly posts: readonly { readonly key: string; readonly fence: number }[]
  /** Nothing of its queue is left, dead letters included. */
  readonly isEmpty: () => Promise<void>
}

function setScene(target: KafkaOptions): Scene {
  const namespace = `b${randomBytes(5).toString('hex')}`
  const options = { namespace, log: () => {} }
  const client = createClient(kafka(target), options)
  const workers: Worker[] = []
  const works: string[] = []
  const posts: { readonly key: string; readonly fence: number }[] = []
  onTestFinished(async () => {
    await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
  })
  return {
    namespace,
    client,
    works,
    posts,
    async rescue() {
      const worker = createWorker(kafka(target), options).serve(jobs, {
        work: ({ key }) => (works.push(key), `rescued ${key}`),
        note: () => {},
        post({ key }, { fence = NaN }) {
          posts.push({ key, fence })
          return `rescued ${key}`
        },
      })
      workers.push(worker)
      return worker.start()
    },
    async isEmpty() {
      await eventually(async () => {
        const { ready, active = 0, dead } = await client.queue(jobs).stats()
        return ready + active + dead === 0
      })
    },
  }
}

/** Sessions are short at a server of one's own. */
describe.skipIf(!hasPackage)('a worker that is lost', { timeout: 60_000 }, () => {
  let server: OwnKafka
  beforeAll(async () => void (server = await startKafka({ config: SHORT_SESSIONS })), 90_000)
  afterAll(() => server.end(), 60_000)
  const brief = (): KafkaOptions => ({ url: server.url, partitions: 4, replyPartitions: 2, sessionMs: 2_000 })

  test('it is killed with the turn of a key: that call is first elsewhere, with a higher fence, and the order holds', async () => {
    const { namespace, client, rescue, isEmpty, posts } = setScene(brief())
    const killed = await startWorkerProcess(namespace, brief())
    const stub = client.service(jobs)
    const keys = ['hang-1', 'later-2', 'later-3', 'later-4']
    const calls: Promise<string>[] = []
    for (const key of keys) {
      calls.push(stub.post({ key }, { key: 'k', timeoutMs: 60_000 }))
      if (key === 'hang-1') await killed.says(`run ${key}`)
    }
    await rescue()
    await killed.kill()
    expect(await Promise.all(calls)).toEqual(keys.map((key) => `rescued ${key}`))
    expect(posts.map(({ key }) => key)).toEqual(keys)
    const before = Number(killed.lines.find((line) => line.startsWith('fence '))?.slice('fence '.length))
    const fences = [before, ...posts.map(({ fence }) => fence)]
    expect(fences).toEqual(fences.toSorted((one, other) => one - other))
    expect(new Set(fences).size).toBe(fences.length)
    await isEmpty()
  })

  test('it is killed: at defaults its calls run elsewhere within 15 s', async () => {
    const { namespace, client, rescue, isEmpty } = setScene({ url: server.url })
    const killed = await startWorkerProcess(namespace, { url: server.url })
    const keys = ['hang-1', 'hang-2', 'hang-3']
    const calls = keys.map((key) => client.service(jobs).work({ key }, { timeoutMs: 60_000 }))
    await Promise.all(keys.map((key) => killed.says(`run ${key}`)))
    await rescue()
    await killed.kill()
    const began = performance.now()
    expect(await Promise.all(calls)).toEqual(keys.map((key) => `rescued ${key}`))
    expect(performance.now() - began).toBeLessThan(15_000)
    await isEmpty()
  })

  test('it is frozen past its session and thawed: its calls ran elsewhere, it hears of it, and is of use again', async () => {
    const { namespace, client, rescue, isEmpty, works } = setScene(brief())
    const frozen = await startWorkerProcess(namespace, brief())
    const { work } = client.service(jobs)
    const keys = ['hang-a', 'hang-b', 'slow-1000-c', 'slow-1000-d']
    const calls = keys.map((key) => work({ key }, { timeoutMs: 60_000 }))
    await Promise.all(keys.map((key) => frozen.says(`run ${key}`)))
    frozen.freeze()
    const other = await rescue()
    expect(await Promise.all(calls)).toEqual(keys.map((key) => `rescued ${key}`))
    frozen.thaw()
    for (const line of ['lost hang-a', 'lost hang-b', 'done slow-1000-c', 'done slow-1000-d']) await frozen.says(line)
    expect(works.toSorted()).toEqual(keys)
    await other.close()
    expect(await work({ key: 'after' })).toBe('process after')
    expect(frozen.lines.filter((line) => line.startsWith('run '))).toHaveLength(keys.length + 1)
    await isEmpty()
  })

  test('it is frozen alone: what it did is its answer, once', async () => {
    const { namespace, client, isEmpty } = setScene(brief())
    const frozen = await startWorkerProcess(namespace, brief())
    const { work } = client.service(jobs)
    const call = work({ key: 'slow-500' }, { timeoutMs: 60_000 })
    await frozen.says('run slow-500')
    frozen.freeze()
    const group = `${namespace}.q.default.jobs.v1`
    const isEvicted = async (): Promise<boolean> => {
      const { groups } = await server.admin((admin) => admin.describeGroups([group]))
      return groups[0]?.members.length === 0
    }
    await eventually(isEvicted, { what: 'the group has no member' })
    frozen.thaw()
    expect(await call).toBe('process slow-500')
    expect(await work({ key: 'after' })).toBe('process after')
    await isEmpty()
    expect(frozen.lines.filter((line) => line === 'run slow-500').length).toBeLessThanOrEqual(2)
  })

  test('an operator puts it out of its group while its handler runs: the signal aborts, and whoever has it next answers', async () => {
    const { namespace, client, rescue, isEmpty, works } = setScene(brief())
    const first = createWorker(kafka(brief()), { namespace, log: () => {} })
    const runs: string[] = []
    first.serve(jobs, {
      async work({ key }, { signal }) {
        if (runs.push(key) > 1) return `again ${key}`
        await aborted(signal)
        runs.push('aborted')
        return `late ${key}`
      },
      note: () => {},
      post: ({ key }) => key,
    })
    onTestFinished(() => first.close({ graceMs: 0 }))
    await first.start()
    const call = client.service(jobs).work({ key: 'moved' }, { timeoutMs: 60_000 })
    await eventually(() => runs.length === 1)
    const group = `${namespace}.q.default.jobs.v1`
    const { groups } = await server.admin((admin) => admin.describeGroups([group]))
    const [member] = groups[0]?.members ?? []
    await rescue()
    const wire = openWire({ options: resolveKafkaOptions(brief()), use: 'test' })
    onTestFinished(() => wire.close())
    await wire.group(group).leave(member?.memberId ?? '')
    expect(await call).toMatch(/^(?:rescued|again) moved$/)
    await eventually(() => runs.includes('aborted'))
    expect([...works, ...runs].filter((run) => run === 'moved')).toHaveLength(2)
    await isEmpty()
    expect(first.health().state).toBe('consuming')
  })
})
