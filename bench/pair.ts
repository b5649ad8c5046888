import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { amqpNames, removeAmqp } from './amqp-leftovers.ts'
import { removeKafka } from './kafka-leftovers.ts'
import type { BenchOptions } from './options.ts'
import { QUEUES } from './ours.ts'
import { startSide, type Side } from './processes.ts'
import { removeRedis } from './redis-leftovers.ts'
import { isAmqp, isKafka, isRedis, type Place, type SubjectName } from './subject.ts'

/** A client and a worker that are measured. */
export interface Pair {
  readonly subject: SubjectName
  readonly place: Place
  readonly client: Side
  /** The same process as the client's where the broker lives in one process. */
  readonly worker: Side
}

/** With fresh processes, a directory and a namespace of their own, of which nothing is left afterwards. */
export async function inFreshPlace<T>(
  subject: SubjectName,
  baseDir: string,
  options: BenchOptions,
  measure: (pair: Pair, options: BenchOptions) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(baseDir, 'p-'))
  const isOneProcess = subject === 'replyto' && options.broker.startsWith('memory:')
  const broker = options.broker === 'file:' ? `file:${dir}` : options.broker
  const namespace = `bench-${randomBytes(4).toString('hex')}`
  const client = startSide(options.nodeArgs)
  const worker = isOneProcess ? client : startSide(options.nodeArgs)
  try {
    return await measure({ subject, place: { dir, broker, namespace }, client, worker }, options)
  } finally {
    if (worker !== client) await worker.end()
    await client.end()
    await rm(dir, { recursive: true, force: true })
    if (subject === 'replyto' && isAmqp(broker)) await removeAmqp(broker, amqpNames(namespace, QUEUES))
    if (isRedis(broker)) await removeRedis(broker, namespace)
    if (isKafka(broker)) await removeKafka(broker, namespace)
  }
}

/** CPU seconds of a process so far, all threads. */
export async function cpuOf(side: Side): Promise<number> {
  const { cpuSeconds = 0 } = await side.ask({ do: 'cpu' })
  return cpuSeconds
}

/** Of both, which may be one. */
export async function cpuOfPair({ client, worker }: Pair): Promise<number> {
  const all = await Promise.all(Array.from(new Set([client, worker]), cpuOf))
  return all.reduce((sum, one) => sum + one, 0)
}
