import { randomBytes } from 'node:crypto'
import { Queue, type JobsOptions } from 'bullmq'
import { Redis } from 'ioredis'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { redis } from '../../broker-adapters/redis/index.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { allOf, createGate, eventually, eventuallyPasses, type Gate } from '../support/eventually.ts'
import { createLedger, type Ledger } from '../support/ledger.ts'

const { url = '', whyNot } = inject('redis')

const jobs = defineService('jobs', {
  encoding: 'json',
  methods: {
    note: method({ input: type<{ readonly key: string }>(), oneWay: true, retry: { attempts: 1 } }),
    work: method({ input: type<{ readonly key: string }>(), output: type<string>() }),
  },
})

interface Scene {
  readonly client: Client
  readonly ledger: Ledger
  /** Plain BullMQ at the same queue. */
  readonly queue: Queue
  /** A bare connection. */
  readonly raw: Redis
  /** Before each key of the queue. */
  readonly keys: string
  /** For which the call of 'held' waits. */
  readonly gate: Gate
  /** A worker from now on. */
  readonly work: () => Promise<Worker>
}

function setScene(): Scene {
  const namespace = `s${randomBytes(5).toString('hex')}`
  const ledger = createLedger()
  const gate = createGate()
  const options = { namespace, log: () => {} }
  const client = createClient(redis({ url }), options)
  const workers: Worker[] = []
  const name = `${namespace}.q.default.jobs.v1`
  const raw = new Redis(url, { maxRetriesPerRequest: null })
  const queue = new Queue(name, { prefix: `{${name}}`, connection: raw })
  onTestFinished(async () => {
    await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
    await queue.close()
    raw.disconnect()
  })
  return {
    client,
    ledger,
    queue,
    raw,
    gate,
    keys: `{${name}}:${name}`,
    async work() {
      const worker = createWorker(redis({ url }), options).serve(jobs, {
        note({ key }) {
          ledger.enter(key)
          if (key.startsWith('bad')) throw new Error('this key is bad')
        },
        async work({ key }) {
          ledger.enter(key)
          if (key === 'held') await gate.opened
          return `did ${key}`
        },
      })
      workers.push(worker)
      return worker.start()
    },
  }
}

async function lettersOf({ client }: Scene, count: number) {
  await eventually(async () => (await client.queue(jobs).stats()).dead === count, { what: `${count} dead letters` })
  return allOf(client.queue(jobs).deadLetters.list())
}

describe.skipIf(whyNot !== undefined)(`plain BullMQ beside us${whyNot === undefined ? '' : ` [${whyNot}]`}`, () => {
  test('it reads what waits: the method, the input, and how many', async () => {
    const { client, queue } = setScene()
    const stub = client.service(jobs)
    await stub.note.send({ key: 'now' }, { headers: { tenant: 'acme' } })
    await stub.note.send({ key: 'later' }, { delayMs: 60_000 })
    const waiting = await queue.getJobs(['wait', 'delayed', 'prioritized'])
    const read = waiting.map(({ name, data }: { name: string; data: { body: string; headers: object } }) => ({
      name,
      input: JSON.parse(data.body) as unknown,
      headers: data.headers,
    }))
    expect(read).toHaveLength(2)
    expect(read).toContainEqual({
      name: 'note',
      input: { key: 'now' },
      headers: expect.objectContaining({ tenant: 'acme' }) as unknown,
    })
    expect(await queue.getJobCounts('wait', 'delayed')).toEqual({ wait: 1, delayed: 1 })
    expect(await client.queue(jobs).stats()).toMatchObject({ ready: 1, delayed: 1, dead: 0 })
  })

  test('it reads our dead letters as what failed, and its button that tries again replays them', async () => {
    const scene = setScene()
    await scene.work()
    await scene.client.service(jobs).note.send({ key: 'bad one' })
    await lettersOf(scene, 1)
    const [failed, ...others] = await scene.queue.getFailed()
    expect(others).toEqual([])
    expect(failed).toMatchObject({ name: 'note', failedReason: expect.stringContaining('this key is bad') as unknown })
    expect(failed?.finishedOn).toBeGreaterThan(0)
    await failed?.retry('failed')
    await eventually(() => scene.ledger.runs('bad one') === 2)
    const [letter, ...more] = await lettersOf(scene, 1)
    expect([letter?.method, more]).toEqual(['note', []])
  })

  test('its pause is ours', async () => {
    const { client, queue, work, ledger } = setScene()
    await work()
    await queue.pause()
    expect(await client.queue(jobs).stats()).toMatchObject({ isPaused: true })
    await client.service(jobs).note.send({ key: 'waits' })
    await client.queue(jobs).resume()
    await eventually(() => ledger.runs('waits') === 1)
    expect(await queue.isPaused()).toBe(false)
  })

  test('what it adds as { input } under the name of a method runs, whatever options it gives', async () => {
    const { queue, work, ledger, client } = setScene()
    const forms: Readonly<Record<string, JobsOptions>> = {
      plain: {},
      named: { jobId: 'mine' },
      delayed: { delay: 200 },
      urgent: { priority: 7 },
      last: { lifo: true },
      often: { attempts: 3, backoff: 100 },
      gone: { removeOnComplete: true },
    }
    for (const [key, options] of Object.entries(forms)) await queue.add('note', { input: { key } }, options)
    await queue.add('work', { input: { key: 'nobody waits' } })
    await work()
    const all = [...Object.keys(forms), 'nobody waits']
    await eventually(() => all.every((key) => ledger.runs(key) === 1), { what: 'all of them run' })
    await eventuallyPasses(async () =>
      expect(await client.queue(jobs).stats()).toMatchObject({ ready: 0, active: 0, delayed: 0, dead: 0 }),
    )
  })

  test('what cannot be read becomes a dead letter that says why, and runs nothing', async () => {
    const scene = setScene()
    await scene.work()
    const { queue } = scene
    const unreadable: readonly (readonly [string, unknown])[] = [
      ['note', 'text'],
      ['note', 5],
      ['note', null],
      ['note', [1]],
      ['note', {}],
      ['note', { body: { key: 'a' } }],
      ['note', { body: '{broken' }],
      ['note', { bodyBase64: '////', contentType: 'application/cbor' }],
      ['nonsense', { input: { key: 'a' } }],
      ['', { input: { key: 'a' } }],
      ['__proto__', { input: { key: 'a' } }],
    ]
    for (const [name, data] of unreadable) await queue.add(name, data)
    const letters = await lettersOf(scene, unreadable.length)
    expect(letters).toHaveLength(unreadable.length)
    for (const { error, reason } of letters) {
      expect(error.code).toMatch(/^(?:INVALID_MESSAGE|INVALID_INPUT|UNKNOWN_METHOD)$/)
      expect(reason.length).toBeGreaterThan(10)
    }
    expect(await scene.client.service(jobs).work({ key: 'after' })).toBe('did after')
    expect(scene.ledger.keys).toEqual(['after'])
    expect(await queue.getFailedCount()).toBe(unreadable.length)
  })

  test('odd members of its data harm nobody', async () => {
    const { queue, work, ledger } = setScene()
    await work()
    const headers = {
      number: 5,
      yes: true,
      nothing: null,
      deep: { deeper: [1] },
      'rt-deadline': 'tomorrow',
      'rt-attempt': -7,
      'rt-due': [1],
    }
    await queue.add('note', { id: 5, type: 'strange', headers, input: { key: 'odd' }, extra: 'x'.repeat(10_000) })
    await queue.add('work', { id: 'own-id', replyTo: 'nowhere', input: { key: 'no inbox' } })
    await queue.add('work', { id: 'other', replyTo: 5, headers: 'none', input: { key: 'no headers' } })
    const known = ['no headers', 'no inbox', 'odd']
    await eventuallyPasses(() => expect(ledger.keys.toSorted()).toEqual(known))
    await eventually(async () => (await queue.getActiveCount()) + (await queue.getWaitingCount()) === 0)
    expect(ledger.total).toBe(known.length)
  })

  test('jobs that were edited by hand while they waited: the good ones run, no other is run for ever', async () => {
    const scene = setScene()
    const { client, queue, raw, keys, ledger } = scene
    const stub = client.service(jobs)
    for (const key of ['cut', 'gone', 'unnamed', 'good', 'changed', 'wrong type']) await stub.note.send({ key })
    const byKey = new Map<string, string>()
    for (const { id = '', data } of await queue.getWaiting())
      byKey.set((JSON.parse((data as { body: string }).body) as { key: string }).key, id) // of a message of ours
    const jobOf = (key: string): string => `${keys}:${byKey.get(key)}`
    await raw.hset(jobOf('cut'), 'data', '{"id":"cut')
    await raw.del(jobOf('gone'))
    await raw.hdel(jobOf('unnamed'), 'name')
    const edited = (await raw.hget(jobOf('changed'), 'data')) ?? ''
    await raw.hset(jobOf('changed'), 'data', edited.replace('changed', 'by hand'))
    await raw.del(jobOf('wrong type'))
    await raw.set(jobOf('wrong type'), 'text')
    await scene.work()
    await eventually(() => ledger.runs('good') === 1 && ledger.runs('by hand') === 1, { what: 'the good ones run' })
    expect(await stub.work({ key: 'after' })).toBe('did after')
    await eventuallyPasses(
      async () => {
        const { ready, active, dead } = await client.queue(jobs).stats()
        expect({ ready, active }).toEqual({ ready: 0, active: 0 })
        expect(dead).toBeGreaterThan(0)
      },
      { within: 30_000 },
    )
    expect(ledger.total).toBe(ledger.keys.length)
  }, 60_000)

  test('a job is deleted under its handler: the caller has its answer, nothing hangs, the rest goes on', async () => {
    const { client, queue, work, raw, keys, gate } = setScene()
    const worker = await work()
    const { work: call } = client.service(jobs)
    const answer = call({ key: 'held' }, { timeoutMs: 60_000 })
    const [job] = await eventually(async () => {
      const active = await queue.getActive()
      return active.length > 0 && active
    })
    await raw.del(`${keys}:${job?.id}`, `${keys}:${job?.id}:lock`)
    gate.open()
    expect(await answer).toBe('did held')
    expect(await call({ key: 'after' })).toBe('did after')
    expect(worker.health().state).toBe('consuming')
    await eventually(async () => (await queue.getActiveCount()) === 0, { within: 30_000 })
  }, 60_000)

  test('it obliterates the queue under its worker: what comes later runs', async () => {
    const { client, queue, work } = setScene()
    const worker = await work()
    expect(await client.service(jobs).work({ key: 'before' })).toBe('did before')
    await queue.obliterate({ force: true })
    await client.queue(jobs).resume() // obliterate begins with a pause
    expect(await client.service(jobs).work({ key: 'after' })).toBe('did after')
    await eventually(() => worker.health().state === 'consuming')
  })

  test('a key of the queue is no longer of its type: it is said, the process lives, and all goes on once it is mended', async () => {
    const { client, raw, keys, work } = setScene()
    await work()
    const { note, work: call } = client.service(jobs)
    await call({ key: 'before' })
    await raw.del(`${keys}:wait`)
    await raw.set(`${keys}:wait`, 'text')
    const sent = note.send({ key: 'meanwhile' }, { timeoutMs: 5_000 }).catch((error: unknown) => error)
    await sent
    await raw.del(`${keys}:wait`)
    expect(await call({ key: 'after' }, { timeoutMs: 15_000 })).toBe('did after')
  })
})
