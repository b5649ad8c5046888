import { randomBytes } from 'node:crypto'
import { Kafka, logLevel, Partitioners, type Message as KafkaMessage, type Producer } from 'kafkajs'
import { onTestFinished } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { createLedger, type Ledger } from '../support/ledger.ts'
import { small } from './targets.ts'

export const jobs = defineService('jobs', {
  methods: {
    note: method({ input: type<{ readonly key: string }>(), oneWay: true, retry: { attempts: 1 } }),
    work: method({ input: type<{ readonly key: string }>(), output: type<string>() }),
  },
})

/** A worker and a client of ours, and a stranger with plain kafkajs. */
export interface Scene {
  readonly namespace: string
  readonly client: Client
  readonly worker: Worker
  readonly ledger: Ledger
  readonly lines: readonly LogLine[]
  /** The headers that handlers saw, by key. */
  readonly seen: Map<string, Readonly<Record<string, string>>>
  /** Of the work topic. */
  readonly queue: string
  /** Plain kafkajs. */
  put(topic: string, ...messages: readonly KafkaMessage[]): Promise<void>
}

export async function setScene(url: string): Promise<Scene> {
  const namespace = `s${randomBytes(5).toString('hex')}`
  const ledger = createLedger()
  const lines: LogLine[] = []
  const seen = new Map<string, Readonly<Record<string, string>>>()
  const options = { namespace, log: (line: LogLine) => void lines.push(line) }
  const target = small(url, { sessionMs: 6_000 })
  const client = createClient(target, options)
  const worker = createWorker(target, options).serve(jobs, {
    note({ key }, { headers }) {
      ledger.enter(key)
      seen.set(key, headers)
      if (key.startsWith('bad')) throw new Error('this key is bad')
    },
    work: ({ key }) => (ledger.enter(key), `did ${key}`),
  })
  const producer = producerOf(url)
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
    await producer.disconnect()
  })
  await Promise.all([worker.start(), client.ready(), producer.connect()])
  return {
    namespace,
    client,
    worker,
    ledger,
    lines,
    seen,
    queue: `${namespace}.q.default.jobs.v1`,
    put: async (topic, ...messages) => void (await producer.send({ topic, messages: [...messages] })),
  }
}

/** Plain kafkajs; of transactions, if it is given a name for them. */
export function producerOf(server: string, transactionalId?: string): Producer {
  const brokers = server.replace('kafka://', '').split(',')
  const kafka = new Kafka({ clientId: 'stranger', brokers, logLevel: logLevel.NOTHING })
  const createPartitioner = Partitioners.DefaultPartitioner
  return kafka.producer({
    createPartitioner,
    allowAutoTopicCreation: false,
    ...(transactionalId !== undefined && { transactionalId, idempotent: true, maxInFlightRequests: 1 }),
  })
}
