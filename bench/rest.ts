import { setTimeout as sleep } from 'node:timers/promises'
import { cpuOf, type Pair } from './pair.ts'
import { startSide, type Side } from './processes.ts'
import type { StartFigures } from './side.ts'

/** What a pair costs that has nothing to do, and how long a client takes until it may call. */
export interface RestFigures extends StartFigures {
  /** The same of the very first client, for which something may have to be made at the broker. */
  readonly firstPublishedMs?: number
  /** Share of a core, all threads. */
  readonly clientCpu: number
  readonly workerCpu: number
}

/** What the start has left to be done is done, such as compiling and collecting. */
const SETTLE_MS = 2_000
const REST_MS = 5_000

export async function measureRest(pair: Pair, nodeArgs: readonly string[]): Promise<RestFigures> {
  const { subject, place, client, worker } = pair
  await worker.ask({ do: 'startWorker', subject, place })
  // What is written by hand has one client, and takes its queues along when it ends.
  const hasFirst = worker !== client && subject === 'replyto'
  const { publishedMs } = hasFirst ? await measureFirst(pair, nodeArgs) : {}
  const started = await measureStart(pair, client)
  await sleep(SETTLE_MS)
  const before = { client: await cpuOf(client), worker: await cpuOf(worker) }
  const from = performance.now()
  await sleep(REST_MS)
  const seconds = (performance.now() - from) / 1000
  return {
    ...started,
    ...(publishedMs !== undefined && { firstPublishedMs: publishedMs }),
    clientCpu: ((await cpuOf(client)) - before.client) / seconds,
    workerCpu: ((await cpuOf(worker)) - before.worker) / seconds,
  }
}

/** In a process that is gone again when the others are measured. */
async function measureFirst(pair: Pair, nodeArgs: readonly string[]): Promise<Partial<StartFigures>> {
  const first = startSide(nodeArgs)
  try {
    return await measureStart(pair, first)
  } finally {
    await first.end()
  }
}

async function measureStart({ subject, place }: Pair, side: Side): Promise<StartFigures> {
  await side.ask({ do: 'startClient', subject, place })
  const { started } = await side.ask({ do: 'firstCall' })
  if (started === undefined) throw new Error(`${subject}: no figures of its start`)
  return started
}
