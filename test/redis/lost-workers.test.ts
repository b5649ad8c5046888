import { randomBytes } from 'node:crypto'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { redis, type RedisOptions } from '../../broker-adapters/redis/index.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { eventually } from '../support/eventually.ts'
import { jobs } from '../support/load.ts'
import { startWorkerProcess } from './worker-process.ts'

const { url = '', whyNot } = inject('redis')

/** Locks that run out soon. */
const IMPATIENT: RedisOptions = { url, lockMs: 1_000, stalledCheckMs: 200 }

interface Scene {
  readonly namespace: string
  readonly client: Client
  /** Another worker, in this process. */
  readonly rescue: (options: RedisOptions) => Promise<Worker>
  /** What that one ran of `post`. */
  readonly posts: readonly { readonly key: string; readonly fence: number }[]
  /** Nothing of its queue is left, dead letters included. */
  readonly isEmpty: () => Promise<void>
}

function setScene(): Scene {
  const namespace = `b${randomBytes(5).toString('hex')}`
  const options = { namespace, log: () => {} }
  const client = createClient(redis({ url }), options)
  const workers: Worker[] = []
  const posts: { readonly key: string; readonly fence: number }[] = []
  onTestFinished(async () => {
    await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
  })
  return {
    namespace,
    client,
    posts,
    async rescue(redisOptions) {
      const worker = createWorker(redis(redisOptions), options).serve(jobs, {
        work: ({ key }) => `rescued ${key}`,
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
        const { ready, active = 0, delayed = 0, dead } = await client.queue(jobs).stats()
        return ready + active + delayed + dead === 0
      })
    },
  }
}

describe.skipIf(whyNot !== undefined)('a worker that is lost', { timeout: 90_000 }, () => {
  test('its event loop is blocked for longer than its lock: another one answers, and it stays of use', async () => {
    const { namespace, client, rescue, isEmpty } = setScene()
    const blocked = await startWorkerProcess(namespace, IMPATIENT)
    const key = 'block-8000'
    const call = client.service(jobs).work({ key }, { timeoutMs: 60_000 })
    await blocked.says(`run ${key}`)
    const other = await rescue(IMPATIENT)
    expect(await call).toBe(`rescued ${key}`)
    await blocked.says(`done ${key}`)
    await other.close()
    expect(await client.service(jobs).work({ key: 'after' })).toBe('process after')
    expect(blocked.lines.filter((line) => line === `run ${key}`)).toHaveLength(1)
    await isEmpty()
  })

  test('it is alone: what it did is its answer, and it does not run it again and again', async () => {
    const { namespace, client, isEmpty } = setScene()
    const blocked = await startWorkerProcess(namespace, IMPATIENT)
    const key = 'block-4000'
    expect(await client.service(jobs).work({ key }, { timeoutMs: 60_000 })).toBe(`process ${key}`)
    expect(await client.service(jobs).work({ key: 'after' }, { timeoutMs: 60_000 })).toBe('process after')
    expect(blocked.lines.filter((line) => line === `run ${key}`)).toHaveLength(1)
    await isEmpty()
  })

  test('it is killed with the turn of a key: that call is first elsewhere, with a higher fence, and the order holds', async () => {
    const { namespace, client, rescue, isEmpty, posts } = setScene()
    const killed = await startWorkerProcess(namespace, IMPATIENT)
    const stub = client.service(jobs)
    const keys = ['hang-1', 'later-2', 'later-3', 'later-4']
    const calls: Promise<string>[] = []
    for (const key of keys) {
      calls.push(stub.post({ key }, { key: 'k', timeoutMs: 60_000 }))
      if (key === 'hang-1') await killed.says(`run ${key}`)
    }
    await rescue(IMPATIENT)
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
    const { namespace, client, rescue, isEmpty } = setScene()
    const killed = await startWorkerProcess(namespace, { url })
    const keys = ['hang-1', 'hang-2', 'hang-3']
    const calls = keys.map((key) => client.service(jobs).work({ key }, { timeoutMs: 60_000 }))
    await Promise.all(keys.map((key) => killed.says(`run ${key}`)))
    await rescue({ url })
    await killed.kill()
    const began = performance.now()
    expect(await Promise.all(calls)).toEqual(keys.map((key) => `rescued ${key}`))
    expect(performance.now() - began).toBeLessThan(15_000)
    await isEmpty()
  })
})
