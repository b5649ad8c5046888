import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect, type Channel } from 'amqplib'
import { inject, onTestFinished } from 'vitest'
import type { BrokerAdapter } from '../../broker-adapters/adapter.ts'
import { stateOf, workQueue } from '../../broker-adapters/rabbitmq/topology.ts'
import { laneOf } from '../../broker-adapters/rabbitmq/storing.ts'
import { HEADER } from '../../protocol/headers.ts'
import { eventually } from '../support/eventually.ts'
import { KEYED, startAdapter } from './keyed.ts'
import type { Hand } from './programs/owner.ts'

/** A process that consumes the keyed queue. */
export interface Owner {
  readonly hands: readonly Hand[]
  /** The hand-over number `index`, from 0. */
  at(index: number): Promise<Hand>
  /** Resolves when it is done. */
  tell(command: string): Promise<void>
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
}

/** A namespace of one test at a real server, and its processes. */
export interface Stage {
  readonly namespace: string
  adapter(): Promise<BrokerAdapter>
  owner(prefetch?: number): Promise<Owner>
  /** Raw, for what no adapter of ours does. */
  readonly channel: Channel
  /** The partition in which this key is. */
  partitionOf(key: string): string
  /** How many notes lie in its state, once nobody holds any. */
  notesOf(key: string): Promise<number>
}

/** Node 20 runs no TypeScript, so the program is the compiled one. */
const PROGRAM = fileURLToPath(new URL('../../dist/test/rabbitmq/programs/owner.js', import.meta.url))

export async function setStage(): Promise<Stage> {
  const { url, whyNot } = inject('rabbitmq')
  if (url === undefined) throw new Error(`there is no server: ${whyNot}`)
  const namespace = `k${randomBytes(6).toString('hex')}`
  const cleanups: (() => unknown)[] = []
  const model = await connect(url, { noDelay: true })
  const channel = await model.createChannel()
  const queue = workQueue(namespace, KEYED)
  const partitionOf = (key: string): string => laneOf(queue, { [HEADER.key]: key })
  onTestFinished(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup()
    for (const name of [queue.name, queue.dead, ...queue.partitions.flatMap((one) => [one, stateOf(one)])])
      await channel.deleteQueue(name)
    await model.close()
  })
  return {
    namespace,
    channel,
    partitionOf,
    notesOf: async (key) => (await channel.checkQueue(stateOf(partitionOf(key)))).messageCount,
    async adapter() {
      const adapter = await startAdapter(namespace, url)
      cleanups.push(() => adapter.stop())
      return adapter
    },
    async owner(prefetch = 10) {
      const owner = startOwner([namespace, url, String(prefetch)])
      cleanups.push(() => owner.kill())
      await owner.isUp
      return owner
    },
  }
}

function startOwner(args: readonly string[]): Owner & { readonly isUp: Promise<unknown> } {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const lines: string[] = []
  const hands: Hand[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    if (line.startsWith('got ')) hands.push(JSON.parse(line.slice(4)) as Hand) // what owner.ts writes
  })
  return {
    hands,
    isUp: eventually(() => lines.includes('up'), { what: 'a process that is up' }),
    at: (index) => eventually(() => hands[index], { what: `hand-over ${index}; ${hands.length} came` }),
    async tell(command) {
      const before = lines.length
      child.stdin.write(`${command}\n`)
      await eventually(() => lines.indexOf(`done ${command}`, before) >= 0, { what: `'${command}' done` })
    },
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
