/** What requests and replies carry. */
export interface Payload {
  readonly id: number
  readonly text: string
}

/** 'small': 118 bytes of CBOR; 'large': 10 kB. */
export type PayloadSize = 'small' | 'large'

export const payloadOf = (id: number, size: PayloadSize = 'small'): Payload => ({ id, text: TEXTS[size] })

const TEXTS: Readonly<Record<PayloadSize, string>> = {
  small: 'abcdefghij'.repeat(10),
  large: 'abcdefghij'.repeat(1_000),
}

/** Where a pair of processes meets. */
export interface Place {
  /** A directory of this pair's own, on the disk that is measured. */
  readonly dir: string
  /** Target of the library's client and worker. */
  readonly broker: string
  /** This pair's own at that broker. */
  readonly namespace: string
  /** The worker serves keyed calls, too: a second queue, which costs even when it is idle. */
  readonly isKeyed?: boolean
}

export interface BenchClient {
  /** One call, answered with what it carried. */
  call(payload: Payload): Promise<Payload>
  /** Resolves when it is durable; rejects where nothing is. */
  send(payload: Payload): Promise<void>
  /** A call of a key, one at a time. Only the library has it. */
  callKeyed?(payload: Payload, key: string): Promise<Payload>
  /** A call; resolves when the broker has it, whatever becomes of it. Only the library tells. */
  publish?(payload: Payload): Promise<void>
  close(): Promise<void>
}

export interface BenchWorker {
  /** Resolves when so many sends have been handled since the start. */
  handled(count: number): Promise<void>
  close(): Promise<void>
}

/** Something that is measured: what the client process and what the worker process does. */
export interface Subject {
  readonly startWorker: (place: Place) => Promise<BenchWorker>
  readonly startClient: (place: Place) => Promise<BenchClient>
}

/** Each with what the report calls it. */
export const TITLES = {
  replyto: 'replyto',
  lmdb: 'bare LMDB queue, fsync per commit, reply by socket',
  tcp: 'TCP on the loopback, JSON lines, nothing durable',
  'amqplib-quorum': 'bare amqplib, confirms, quorum queue',
  'amqplib-classic': 'bare amqplib, confirms, classic queue',
  bullmq: 'BullMQ, add and waitUntilFinished',
  'redis-streams': 'bare streams of Redis',
  'kafkajs-tick': 'bare kafkajs, one produce per tick',
  'kafkajs-each': 'bare kafkajs, one produce per message',
} as const

export type SubjectName = keyof typeof TITLES

export const isAmqp = (broker: string): boolean => /^amqps?:/.test(broker)
export const isRedis = (broker: string): boolean => /^rediss?:/.test(broker)
export const isKafka = (broker: string): boolean => broker.startsWith('kafka:')

/** What is measured at this broker: the library, then what it is compared with. */
export function subjectsAt(broker: string): readonly SubjectName[] {
  if (isAmqp(broker)) return ['replyto', 'amqplib-quorum', 'amqplib-classic']
  if (isKafka(broker)) return ['replyto', 'kafkajs-tick', 'kafkajs-each']
  return isRedis(broker) ? ['replyto', 'bullmq', 'redis-streams'] : ['replyto', 'lmdb', 'tcp']
}

export interface HandledCount {
  add(count: number): void
  reached(count: number): Promise<void>
}

export function countHandled(): HandledCount {
  let handled = 0
  let waiting: { readonly count: number; readonly resolve: () => void } | undefined
  return {
    add(count) {
      handled += count
      if (waiting !== undefined && handled >= waiting.count) waiting.resolve()
    },
    reached: (count) =>
      handled >= count ? Promise.resolve() : new Promise((resolve) => (waiting = { count, resolve })),
  }
}
