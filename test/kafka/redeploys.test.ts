import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { createLedger } from '../support/ledger.ts'
import { goesOn, jobs, startLoad } from '../support/load.ts'
import { small } from './targets.ts'

const { url = '', whyNot } = inject('kafka')
/** The least that the server for all takes. */
const SESSION_MS = 6_000

const notes = defineService('notes', { methods: { note: method({ input: type<string>(), oneWay: true }) } })

const REDEPLOYS = 10
const WORKERS = 3
const CONCURRENCY = 4
const PREFETCH = 2 * CONCURRENCY
/** More than all of them hold. */
const A_ROUND = 2 * WORKERS * PREFETCH

describe.skipIf(whyNot !== undefined)('workers come and go, and nothing is lost', { timeout: 90_000 }, () => {
  test('ten times three that hold all they may: each send runs, none becomes a dead letter', async () => {
    const target = small(url, { partitions: 6, sessionMs: SESSION_MS })
    const options = { namespace: `r${randomBytes(5).toString('hex')}`, log: () => {} }
    const ledger = createLedger()
    const client = createClient(target, options)
    let workers: readonly Worker[] = []
    let isLast = false
    onTestFinished(async () => {
      await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
    })
    const deploy = (): Promise<readonly Worker[]> =>
      Promise.all(
        Array.from({ length: WORKERS }, async () => {
          const worker = createWorker(target, { ...options, concurrency: CONCURRENCY, prefetch: PREFETCH })
          worker.serve(notes, {
            async note(name, { signal }) {
              ledger.enter(name)
              if (!isLast) await sleep(300, undefined, { signal })
              ledger.finish(name)
            },
          })
          return worker.start()
        }),
      )
    const isFull = (worker: Worker): boolean => {
      const { running = 0, held = 0 } = worker.health().queues[0] ?? {}
      return running + held >= PREFETCH
    }
    const { note } = client.service(notes)
    const sent: string[] = []
    for (let round = 0; round < REDEPLOYS; round++) {
      const fresh = Array.from({ length: A_ROUND }, (_, index) => `${round}-${index}`)
      await Promise.all(fresh.map((name) => note.send(name)))
      sent.push(...fresh)
      workers = await deploy()
      await eventually(() => workers.some(isFull), { what: `one holds what it may, round ${round}` })
      await Promise.all(workers.map((worker) => worker.close({ graceMs: 0 })))
    }
    isLast = true
    workers = await deploy()
    await eventually(
      async () => {
        const { ready, active = 0, dead } = await client.queue(notes).stats()
        return ready + active + dead === 0 || dead > 0
      },
      { within: 60_000, what: 'the queue is empty' },
    )
    expect((await allOf(client.queue(notes).deadLetters.list())).map(({ id, reason }) => [id, reason])).toEqual([])
    const done = new Set(ledger.keys.filter((name) => ledger.finished(name) > 0))
    expect(sent.filter((name) => !done.has(name))).toEqual([])
  })

  test('others join and leave under load, one with a grace and one without: keys keep their order', async () => {
    const target = small(url, { sessionMs: SESSION_MS })
    const load = await startLoad(() => target)
    const lines: LogLine[] = []
    for (let turn = 0; turn < 6; turn++) {
      const worker = createWorker(target, { namespace: load.namespace, log: (line) => void lines.push(line) })
      worker.serve(jobs, {
        work: ({ key }) => (load.ledger.enter(key), key),
        note: ({ key }) => load.ledger.enter(key),
        post: ({ key }) => (load.ledger.enter(key), key),
      })
      await worker.start()
      await goesOn(load)
      await worker.close(turn % 2 === 0 ? {} : { graceMs: 0 })
    }
    expect(await load.settle()).toBe(0)
    expect([...load.lines, ...lines].filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
  })
})
