import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openBroker } from '../../broker-adapters/connect.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { buildWorker, createWorker } from '../../worker/create-worker.ts'
import { resolveWorkerOptions } from '../../worker/options.ts'
import type { Worker } from '../../worker/types.ts'
import { allOf, eventually } from './eventually.ts'
import { createLedger } from './ledger.ts'
import type { ServerForTests } from './server-setup.ts'

const key = type<{ readonly key: string }>()
const note = method({ input: key, oneWay: true })
const jobs = defineService('jobs', { version: '1.2.0', methods: { note } })
const renewed = defineService('jobs', {
  version: '1.3.0',
  methods: { note, added: method({ input: key, output: type<string>() }) },
})

const REDEPLOYS = 20
const WORKERS = 10
const CONCURRENCY = 4
const PREFETCH = 2 * CONCURRENCY
/** More than all of them hold. */
const A_ROUND = 2 * WORKERS * PREFETCH

const isFull = (worker: Worker): boolean => {
  const { running = 0, held = 0 } = worker.health().queues[0] ?? {}
  return running + held >= PREFETCH
}

/** Workers that come and go all the time, and of two versions at once. */
export function describeRedeploys({ url, whyNot }: ServerForTests): void {
  describe.skipIf(url === undefined)(`redeploys${url === undefined ? ` [${whyNot}]` : ''}`, () => {
    const at = url ?? ''

    test('twenty of ten workers that hold all they may: each send runs, none becomes a dead letter', async () => {
      const options = { namespace: `r${randomBytes(5).toString('hex')}`, log: () => {} }
      const ledger = createLedger()
      const client = createClient(at, options)
      let workers: readonly Worker[] = []
      let isLast = false
      onTestFinished(async () => {
        await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
      })
      const deploy = (): Promise<readonly Worker[]> =>
        Promise.all(
          Array.from({ length: WORKERS }, async () => {
            const worker = createWorker(at, { ...options, concurrency: CONCURRENCY, prefetch: PREFETCH })
            worker.serve(jobs, {
              async note({ key: name }, { signal }) {
                ledger.enter(name)
                if (!isLast) await sleep(300, undefined, { signal })
                ledger.finish(name)
              },
            })
            return worker.start()
          }),
        )
      const sent: string[] = []
      const { note: noteOf } = client.service(jobs)
      for (let round = 0; round < REDEPLOYS; round++) {
        const fresh = Array.from({ length: A_ROUND }, (_, index) => `${round}-${index}`)
        await Promise.all(fresh.map((name) => noteOf.send({ key: name })))
        sent.push(...fresh)
        workers = await deploy()
        await eventually(() => workers.every(isFull), { what: `all hold what they may, round ${round}` })
        await Promise.all(workers.map((worker) => worker.close({ graceMs: 0 })))
      }
      isLast = true
      workers = await deploy()
      await eventually(
        async () => {
          const { ready, active = 0, dead } = await client.queue(jobs).stats()
          return ready + active + dead === 0 || dead > 0
        },
        { within: 60_000, what: 'the queue is empty' },
      )
      expect((await allOf(client.queue(jobs).deadLetters.list())).map(({ id, reason }) => [id, reason])).toEqual([])
      const done = new Set(ledger.keys.filter((name) => ledger.finished(name) > 0))
      expect(sent.filter((name) => !done.has(name))).toEqual([])
    }, 120_000)

    test('workers of two versions side by side: each call reaches one that knows it', async () => {
      const options = { namespace: `v${randomBytes(5).toString('hex')}`, log: () => {} }
      const client = createClient(at, options)
      const done: string[] = []
      // Gives back soon what it is too old for.
      const older = buildWorker({
        broker: openBroker(at, options),
        isOwned: true,
        options: resolveWorkerOptions({}),
        tuning: { newerHoldMs: 50 },
      }).serve(jobs, { note: ({ key: name }) => void done.push(name) })
      const newer = createWorker(at, options).serve(renewed, {
        note: ({ key: name }) => void done.push(name),
        added: ({ key: name }) => `added ${name}`,
      })
      onTestFinished(async () => {
        await Promise.all([client, older, newer].map((one) => one.close({ graceMs: 0 })))
      })
      await older.start()
      const stub = client.service(renewed)
      const names = Array.from({ length: 10 }, (_, index) => `n${index}`)
      const early = names.map((name) => stub.added({ key: name }, { timeoutMs: 15_000 }))
      await eventually(() => (older.counters['leftToNewer'] ?? 0) > 0)
      await newer.start()
      await Promise.all(names.map((name) => stub.note.send({ key: name })))
      expect(await Promise.all(early)).toEqual(names.map((name) => `added ${name}`))
      await eventually(() => done.length >= names.length)
      expect(done.toSorted()).toEqual(names)
      expect((await client.queue(jobs).stats()).dead).toBe(0)
    })
  })
}
