import { randomBytes } from 'node:crypto'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { createGate, eventually } from '../support/eventually.ts'
import { adminOf } from '../support/kafka.ts'
import { small } from './targets.ts'

const { url = '', whyNot } = inject('kafka')

const jobs = defineService('jobs', {
  methods: {
    work: method({ input: type<string>(), output: type<string>(), timeoutMs: 20_000 }),
    hold: method({ input: type<string>(), output: type<string>(), timeoutMs: 20_000 }),
  },
})
type Setting = Readonly<Record<string, string>>

function setScene() {
  const namespace = `t${randomBytes(5).toString('hex')}`
  const topic = `${namespace}.q.default.jobs.v1`
  const target = small(url, { sessionMs: 6_000 })
  const lines: LogLine[] = []
  const gate = createGate()
  const options = { namespace, log: (line: LogLine) => void lines.push(line) }
  const open: { close(options: { graceMs: number }): Promise<void> }[] = []
  onTestFinished(async () => {
    await Promise.all(open.map((one) => one.close({ graceMs: 0 })))
  })
  return {
    namespace,
    topic,
    lines,
    gate,
    connect: (): Client => {
      const client = createClient(target, options)
      open.push(client)
      return client
    },
    consume: async (): Promise<Worker> => {
      const worker = createWorker(target, options).serve(jobs, {
        work: (text) => text,
        async hold(text) {
          await gate.opened
          return text
        },
      })
      open.push(worker)
      return worker.start()
    },
    create: (numPartitions: number, settings: Setting = {}) =>
      adminOf(url, (admin) =>
        admin.createTopics({
          waitForLeaders: true,
          topics: [
            { topic, numPartitions, configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })) },
          ],
        }),
      ),
    remove: (name: string) => adminOf(url, (admin) => admin.deleteTopics({ topics: [name], timeout: 10_000 })),
  }
}

/** Enough for each partition to have some. */
const TEXTS = Array.from({ length: 16 }, (_, index) => `t${index}`)
const callAll = (client: Client): Promise<readonly string[]> =>
  Promise.all(TEXTS.map((text) => client.service(jobs).work(text)))

describe.skipIf(whyNot !== undefined)('topics that are not as we made them', { timeout: 60_000 }, () => {
  test('the work topic is deleted while it is used: it is made again, and what is published later is run', async () => {
    const { topic, connect, consume, remove } = setScene()
    const worker = await consume()
    const client = connect()
    expect(await callAll(client)).toEqual(TEXTS)
    for (let round = 0; round < 2; round++) {
      await remove(topic)
      expect(await callAll(client)).toEqual(TEXTS)
    }
    expect(worker.health().state).toBe('consuming')
  })

  test('it is deleted under its handlers: their callers have their answers', async () => {
    const { topic, connect, consume, remove, gate } = setScene()
    const worker = await consume()
    const client = connect()
    const { hold } = client.service(jobs)
    const answers = Promise.all(TEXTS.slice(0, 4).map((text) => hold(text)))
    await eventually(() => (worker.health().queues[0]?.running ?? 0) === 4, { what: 'all run' })
    await remove(topic)
    gate.open()
    expect(await answers).toEqual(TEXTS.slice(0, 4))
    expect(await callAll(client)).toEqual(TEXTS)
  })

  test('it is deleted and made again by an operator between two calls', async () => {
    const { topic, connect, consume, remove, create } = setScene()
    await consume()
    const client = connect()
    expect(await callAll(client)).toEqual(TEXTS)
    await remove(topic)
    await create(4)
    expect(await callAll(client)).toEqual(TEXTS)
  })

  test.each(['reply', 'ctl'])('%s is deleted: what is called later is answered', async (name) => {
    const { namespace, connect, consume, remove } = setScene()
    await consume()
    const client = connect()
    expect(await callAll(client)).toEqual(TEXTS)
    await remove(`${namespace}.${name}`)
    const tryOne = async (): Promise<boolean> => {
      const answer = await client
        .service(jobs)
        .work('after', { timeoutMs: 2_000 })
        .catch(() => undefined)
      return answer === 'after'
    }
    await eventually(tryOne, { within: 30_000, what: 'a call is answered' })
    expect(await callAll(client)).toEqual(TEXTS)
  })

  test.each([
    ['keeps what waits for less than was wanted', { 'retention.ms': '600000' }, 'KAFKA_RETENTION', /600000 ms/],
    ['is compacted', { 'cleanup.policy': 'compact' }, 'KAFKA_COMPACTION', /compacted/],
    ['is compacted and deletes', { 'cleanup.policy': 'compact,delete' }, 'KAFKA_COMPACTION', /compacted/],
  ])('one that %s is used, and that is said by each connection', async (_, settings, code, text) => {
    const { topic, connect, consume, create, lines } = setScene()
    await create(2, settings)
    await consume()
    const client = connect()
    // Without a key a compacted topic takes nothing: there all that is published says why it is not stored.
    const end = await client
      .service(jobs)
      .work('a', { timeoutMs: 5_000 })
      .catch((error: unknown) => String(error))
    expect(end).toMatch(/^a$|compact/i)
    const said = await eventually(() => {
      const all = lines.filter((line) => line.code === code)
      return all.length === 2 && all
    })
    for (const { level, message } of said) expect([level, message]).toEqual(['warn', expect.stringMatching(text)])
    for (const { message } of said) expect(message).toContain(topic)
  })

  test('one that the server compresses as the library cannot read it: what is needed is said', async () => {
    const { topic, connect, consume, create, lines } = setScene()
    await create(2, { 'compression.type': 'lz4' })
    await consume()
    const { work } = connect().service(jobs)
    await expect(work('a', { timeoutMs: 1_500 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    const said = lines.filter(({ code }) => code === 'KAFKA_COMPRESSION')
    expect(said).toHaveLength(2)
    for (const { message } of said) expect(message).toMatch(new RegExp(`${topic}.*lz4.*compression\\.type`))
  })

  test('a deadline that is later than what waits is kept is said, once', async () => {
    const namespace = `t${randomBytes(5).toString('hex')}`
    const lines: LogLine[] = []
    const target = small(url, { retentionMs: 60_000 })
    const client = createClient(target, { namespace, log: (line) => void lines.push(line) })
    onTestFinished(() => client.close({ graceMs: 0 }))
    const { work } = client.service(jobs)
    for (const timeoutMs of [30_000, 120_000, 180_000]) await work.start('a', { timeoutMs }).stored()
    expect(lines.filter(({ code }) => code === 'KAFKA_RETENTION')).toMatchObject([
      { level: 'warn', message: expect.stringMatching(/1[0-9]{5} ms.*60000 ms.*retentionMs/) as unknown },
    ])
  })

  test('one with another number of partitions is used as it is', async () => {
    const { topic, connect, consume, create, lines } = setScene()
    await create(7)
    await consume()
    expect(await callAll(connect())).toEqual(TEXTS)
    const { topics } = await adminOf(url, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    expect(topics[0]?.partitions).toHaveLength(7)
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  })

  test('an operator gives it more partitions: what is published there is run', async () => {
    const { topic, connect, consume } = setScene()
    await consume()
    expect(await callAll(connect())).toEqual(TEXTS)
    await adminOf(url, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 8 }] }))
    await consume()
    expect(await callAll(connect())).toEqual(TEXTS)
  })
})
