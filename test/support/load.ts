import { randomBytes } from 'node:crypto'
import { expect, onTestFinished } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import type { AdapterFactory } from '../../broker-adapters/adapter.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { eventually } from './eventually.ts'

const job = type<{ readonly key: string }>()

/** Calls, sends, and calls of one key, which keep their order. */
export const jobs = defineService('jobs', {
  methods: {
    work: method({ input: job, output: type<string>(), timeoutMs: 60_000 }),
    note: method({ input: job, oneWay: true, timeoutMs: 60_000 }),
    post: method({ input: job, output: type<string>(), keyed: true, timeoutMs: 60_000 }),
  },
})

/** A client and workers under load, and the book of what was asked for and what was done. */
export interface Load {
  readonly namespace: string
  readonly client: Client
  readonly workers: readonly Worker[]
  readonly ledger: Ledger
  readonly lines: readonly LogLine[]
  /** How many calls were answered until now. */
  readonly answered: number
  /** No further calls; every one is answered, every send has run, keys kept their order. How many are dead letters. */
  settle(): Promise<number>
}

/** @param target of each connection: two of workers and one of the client. */
export async function startLoad(target: () => string | AdapterFactory): Promise<Load> {
  const namespace = `l${randomBytes(5).toString('hex')}`
  const ledger = createLedger()
  const lines: LogLine[] = []
  const options = { namespace, log: (line: LogLine) => void lines.push(line) }
  const client = createClient(target(), { ...options, connectTimeoutMs: 20_000 })
  const workers = [1, 2].map(() => createWorker(target(), { ...options, concurrency: 8 }))
  let isOver = false
  onTestFinished(async () => {
    isOver = true
    await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
  })
  for (const worker of workers) {
    worker.serve(jobs, {
      work: ({ key }) => (ledger.enter(key), key),
      note: ({ key }) => ledger.enter(key),
      post: ({ key }) => (ledger.enter(key), key),
    })
    await worker.start()
  }
  await client.ready()
  const stub = client.service(jobs)
  const sent: string[] = []
  const failures: unknown[] = []
  let answered = 0

  const loop = async (name: string, one: (key: string) => Promise<unknown>): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const key = `${name}-${n}`
      try {
        await one(key)
        answered++
      } catch (error) {
        failures.push(error)
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  const note = async (key: string): Promise<void> => {
    await stub.note.send({ key })
    sent.push(key)
  }
  const names = ['a', 'b', 'c', 'd']
  const loops = [
    ...names.map((name) => loop(`work-${name}`, (key) => stub.work({ key }))),
    ...names.map((name) => loop(`note-${name}`, note)),
    ...names.map((name) => loop(`post-${name}`, (key) => stub.post({ key }, { key: name }))),
  ]
  await eventually(() => answered > 30, { within: 30_000, what: 'calls are answered' })

  return {
    namespace,
    client,
    workers,
    ledger,
    lines,
    get answered() {
      return answered
    },
    async settle() {
      isOver = true
      await Promise.all(loops)
      expect(failures).toEqual([])
      await eventually(() => sent.every((key) => ledger.runs(key) > 0), { within: 30_000, what: 'all sends have run' })
      for (const name of names) expect(firstRuns(ledger, `post-${name}-`)).toEqual(inOrder(ledger, `post-${name}-`))
      return (await client.queue(jobs).stats()).dead
    },
  }
}

/** What an outage makes run again does not count. */
function firstRuns(ledger: Ledger, prefix: string): readonly number[] {
  return ledger.keys.filter((key) => key.startsWith(prefix)).map((key) => Number(key.slice(prefix.length)))
}
function inOrder(ledger: Ledger, prefix: string): readonly number[] {
  return firstRuns(ledger, prefix).toSorted((one, other) => one - other)
}

/** So many more calls are answered from now on. */
export async function goesOn(load: Load, more = 50): Promise<void> {
  const before = load.answered
  await eventually(() => load.answered >= before + more, { within: 45_000, what: 'calls go on' })
}
