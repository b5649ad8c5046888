import { closedLoop, type LoopFigures } from './driver.ts'
import { lmdbReference } from './reference-lmdb.ts'
import { tcpReference } from './reference-tcp.ts'
import { ours } from './ours.ts'
import { amqplibReference } from './reference-amqplib.ts'
import { bullmqReference } from './reference-bullmq.ts'
import { redisStreamsReference } from './reference-redis-streams.ts'
import { payloadOf, type BenchClient, type BenchWorker, type Place, type Subject, type SubjectName } from './subject.ts'

// The process in which one side of a pair runs: does what the parent asks over the IPC channel, ends with it.

export type Command =
  | { readonly do: 'startWorker' | 'startClient'; readonly subject: SubjectName; readonly place: Place }
  | {
      readonly do: 'call' | 'callKeyed' | 'send'
      readonly outstanding: number
      readonly limitMs: number
      readonly count?: number
    }
  | { readonly do: 'handled'; readonly count: number }
  /** CPU seconds of this process so far, all threads. */
  | { readonly do: 'cpu' }
  | { readonly do: 'close' }

export interface Answer {
  readonly figures?: LoopFigures
  readonly cpuSeconds?: number
  readonly error?: string
}

const SUBJECTS: Readonly<Record<SubjectName, Subject>> = {
  replyto: ours,
  lmdb: lmdbReference,
  tcp: tcpReference,
  'amqplib-quorum': amqplibReference('quorum'),
  'amqplib-classic': amqplibReference('classic'),
  bullmq: bullmqReference,
  'redis-streams': redisStreamsReference,
}

let client: BenchClient | undefined
let worker: BenchWorker | undefined
let nextId = 1

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
      worker = await SUBJECTS[command.subject].startWorker(command.place)
      return {}
    case 'startClient':
      client = await SUBJECTS[command.subject].startClient(command.place)
      return {}
    case 'call':
    case 'callKeyed':
    case 'send':
      return { figures: await closedLoop(loadOf(command.do), command) }
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

/** Ids are never used twice by a pair. */
function loadOf(kind: 'call' | 'callKeyed' | 'send'): (id: number, caller: number) => Promise<unknown> {
  const side = client
  if (side === undefined) throw new Error('the client has not been started')
  if (kind === 'call') return () => side.call(payloadOf(nextId++))
  if (kind === 'send') return () => side.send(payloadOf(nextId++))
  return async (_, caller) => side.callKeyed?.(payloadOf(nextId++), `key-${caller}`)
}
