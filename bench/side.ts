import { closedLoop, type LoopFigures } from './driver.ts'
import {
  payloadOf,
  type BenchClient,
  type BenchWorker,
  type PayloadSize,
  type Place,
  type Subject,
  type SubjectName,
} from './subject.ts'

// The process in which one side of a pair runs: does what the parent asks over the IPC channel, ends with it.

export type Command =
  | { readonly do: 'startWorker' | 'startClient'; readonly subject: SubjectName; readonly place: Place }
  | {
      readonly do: 'call' | 'callKeyed' | 'send'
      readonly outstanding: number
      readonly limitMs: number
      readonly count?: number
      /** @default 'small' */
      readonly size?: PayloadSize
    }
  /** The first one of a client: resolves when it is answered. */
  | { readonly do: 'firstCall' }
  | { readonly do: 'handled'; readonly count: number }
  /** CPU seconds of this process so far, all threads. */
  | { readonly do: 'cpu' }
  | { readonly do: 'close' }

export interface Answer {
  readonly figures?: LoopFigures
  readonly cpuSeconds?: number
  readonly started?: StartFigures
  readonly error?: string
}

/** Milliseconds since the client was made, with what the library loads for its broker. */
export interface StartFigures {
  readonly readyMs: number
  /** When the broker had its first call, where it tells. */
  readonly publishedMs?: number
  /** When it was answered. */
  readonly answeredMs: number
}

/** Loaded by the one that runs it: no other's libraries are in its start and its heap. */
async function load(subject: SubjectName): Promise<Subject> {
  switch (subject) {
    case 'replyto':
      return (await import('./ours.ts')).ours
    case 'lmdb':
      return (await import('./reference-lmdb.ts')).lmdbReference
    case 'tcp':
      return (await import('./reference-tcp.ts')).tcpReference
    case 'amqplib-quorum':
      return (await import('./reference-amqplib.ts')).amqplibReference('quorum')
    case 'amqplib-classic':
      return (await import('./reference-amqplib.ts')).amqplibReference('classic')
    case 'bullmq':
      return (await import('./reference-bullmq.ts')).bullmqReference
    case 'redis-streams':
      return (await import('./reference-redis-streams.ts')).redisStreamsReference
    case 'kafkajs-tick':
      return (await import('./reference-kafkajs.ts')).kafkajsReference('tick')
    case 'kafkajs-each':
      return (await import('./reference-kafkajs.ts')).kafkajsReference('each')
  }
}

let client: BenchClient | undefined
let worker: BenchWorker | undefined
let nextId = 1
/** Of the client: when it was begun to be made, and how long it took until it was ready. */
let begun = { at: 0, readyMs: 0 }

process.on('disconnect', () => process.exit())
process.on('message', (command: Command) => {
  void answer(command).then((reply) => process.send?.(reply))
})

async function answer(command: Command): Promise<Answer> {
  try {
    return await run(command)
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

async function run(command: Command): Promise<Answer> {
  switch (command.do) {
    case 'startWorker':
      worker = await (await load(command.subject)).startWorker(command.place)
      return {}
    case 'startClient': {
      const { startClient } = await load(command.subject)
      const at = performance.now()
      client = await startClient(command.place)
      begun = { at, readyMs: performance.now() - at }
      return {}
    }
    case 'firstCall':
      return { started: await firstCall() }
    case 'call':
    case 'callKeyed':
    case 'send':
      return { figures: await closedLoop(loadOf(command.do, command.size), command) }
    case 'handled':
      await worker?.handled(command.count)
      return {}
    case 'cpu': {
      const { user, system } = process.cpuUsage()
      return { cpuSeconds: (user + system) / 1e6 }
    }
    case 'close':
      await worker?.close()
      await client?.close()
      return {}
  }
}

function startedClient(): BenchClient {
  if (client === undefined) throw new Error('the client has not been started')
  return client
}

/** Where the broker tells that it has a call, that call is one and the one that is answered is the next. */
async function firstCall(): Promise<StartFigures> {
  const side = startedClient()
  const { at, readyMs } = begun
  const published = side.publish?.(payloadOf(nextId++)).then(() => performance.now() - at)
  await side.call(payloadOf(nextId++))
  const answeredMs = performance.now() - at
  const publishedMs = await published
  return { readyMs, answeredMs, ...(publishedMs !== undefined && { publishedMs }) }
}

type LoopKind = 'call' | 'callKeyed' | 'send'

/** Ids are never used twice by a pair. */
function loadOf(kind: LoopKind, size: PayloadSize | undefined): (id: number, caller: number) => Promise<unknown> {
  const side = startedClient()
  if (kind === 'call') return () => side.call(payloadOf(nextId++, size))
  if (kind === 'send') return () => side.send(payloadOf(nextId++, size))
  return async (_, caller) => side.callKeyed?.(payloadOf(nextId++, size), `key-${caller}`)
}
