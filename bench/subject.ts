/** The small payload of every load: 118 bytes of CBOR. Requests and replies carry it. */
export interface Payload {
  readonly id: number
  readonly text: string
}

export const payloadOf = (id: number): Payload => ({ id, text: TEXT })

const TEXT = 'abcdefghij'.repeat(10)

/** Where a pair of processes meets. */
export interface Place {
  /** A directory of this pair's own, on the disk that is measured. */
  readonly dir: string
  /** Target of the library's client and worker. */
  readonly broker: string
  /** This pair's own at that broker. */
  readonly namespace: string
}

export interface BenchClient {
  /** One call, answered with what it carried. */
  call(payload: Payload): Promise<Payload>
  /** Resolves when it is durable; rejects where nothing is. */
  send(payload: Payload): Promise<void>
  /** A call of a key, one at a time. Only the library has it. */
  callKeyed?(payload: Payload, key: string): Promise<Payload>
  close(): Promise<void>
}

export interface BenchWorker {
  /** Resolves when so many sends have been handled since the start. */
  handled(count: number): Promise<void>
  close(): Promise<void>
}

/** Something that is measured: what the client process and what the worker process does. */
export interface Subject {
  startWorker(place: Place): Promise<BenchWorker>
  startClient(place: Place): Promise<BenchClient>
}

export type SubjectName = 'replyto' | 'lmdb' | 'tcp' | 'amqplib-quorum' | 'amqplib-classic' | 'bullmq' | 'redis-streams'

export const isAmqp = (broker: string): boolean => /^amqps?:/.test(broker)
export const isRedis = (broker: string): boolean => /^rediss?:/.test(broker)

/** What is measured at this broker: the library, then what it is compared with. */
export function subjectsAt(broker: string): readonly SubjectName[] {
  if (isAmqp(broker)) return ['replyto', 'amqplib-quorum', 'amqplib-classic']
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
