import { randomBytes } from 'node:crypto'
import { expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { kafka, type KafkaOptions } from '../../broker-adapters/kafka/index.ts'
import { MAX_SPAN } from '../../broker-adapters/kafka/window.ts'
import { createClient } from '../../client/create-client.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { createGate, eventually } from '../support/eventually.ts'
import { jobs } from '../support/load.ts'
import { startWorkerProcess } from './worker-process.ts'

const { url = '', whyNot } = inject('kafka')

const OTHERS = 25_000
/** Sends that are on their way at once. */
const IN_FLIGHT = 2_000

/** All of them lie in one partition, behind the call. */
const target: KafkaOptions = { url, partitions: 1, replyPartitions: 1, sessionMs: 6_000 }

test.skipIf(whyNot !== undefined)(
  'one call outlasts 25,000 others: its partition waits, which is said; its worker is killed, and only what was not done runs again',
  async () => {
    const namespace = `w${randomBytes(5).toString('hex')}`
    const lines: LogLine[] = []
    const options = { namespace, log: (line: LogLine) => void lines.push(line) }
    const client = createClient(kafka(target), options)
    const queue = client.queue(jobs)
    const killed = await startWorkerProcess(namespace, target)
    const { work, note } = client.service(jobs)
    const call = work({ key: 'hang' }, { timeoutMs: 120_000 })
    await killed.says('run hang')
    for (let from = 0; from < OTHERS; from += IN_FLIGHT)
      await Promise.all(
        Array.from({ length: Math.min(IN_FLIGHT, OTHERS - from) }, (_, at) => note.send({ key: `n${from + at}` })),
      )
    const ranBefore = (): ReadonlySet<string> =>
      new Set(killed.lines.flatMap((line) => (line.startsWith('run n') ? [line.slice('run '.length)] : [])))
    await eventually(() => killed.lines.some((line) => line.startsWith('warn KAFKA_SPAN')), {
      within: 60_000,
      what: 'it is said that the partition waits',
    })
    expect(killed.lines.find((line) => line.startsWith('warn KAFKA_SPAN'))).toMatch(/'work'/)
    await eventually(
      async () => {
        const { ready, active = 0 } = await queue.stats()
        return ready + active === OTHERS + 1 - ranBefore().size
      },
      { within: 30_000, what: 'what is done is said to the server' },
    )
    expect(ranBefore().size).toBeGreaterThanOrEqual(MAX_SPAN - 1_000)
    expect(ranBefore().size).toBeLessThan(OTHERS)
    await killed.kill()

    const gate = createGate()
    const ranAfter: string[] = []
    let wasHeld = false
    const worker = createWorker(kafka(target), options).serve(jobs, {
      async work({ key }) {
        wasHeld = true
        await gate.opened
        return `rescued ${key}`
      },
      note: ({ key }) => void ranAfter.push(key),
      post: ({ key }) => key,
    })
    onTestFinished(async () => {
      await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
    })
    await worker.start()
    await eventually(() => wasHeld, { within: 30_000, what: 'the call runs again' })
    gate.open()
    expect(await call).toBe('rescued hang')
    const before = ranBefore()
    await eventually(() => before.size + ranAfter.length >= OTHERS, { within: 60_000, what: 'all have run' })
    await eventually(async () => {
      const { ready, active = 0, dead } = await queue.stats()
      return ready + active + dead === 0
    })
    expect(ranAfter.filter((key) => before.has(key))).toEqual([])
    expect(new Set([...before, ...ranAfter]).size).toBe(OTHERS)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  },
  150_000,
)
