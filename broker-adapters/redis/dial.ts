import { Socket } from 'node:net'
import type { Queue } from 'bullmq'
import type { Redis, RedisOptions as LibraryOptions } from 'ioredis'
import { BrokerError, ConfigError } from '../../protocol/errors.ts'
import { gatherWrites } from '../gather-writes.ts'
import { within } from '../within.ts'
import { isForgotten, isNotPrimary, refusalText, shortOf } from './failures.ts'
import type { WorkQueue } from './keys.ts'
import type { RedisNode, ResolvedRedisOptions } from './options.ts'
import { defineScripts, type Scripts } from './scripts.ts'

/** A queue of BullMQ over the connection of a session. */
export interface Bull {
  readonly backend: Queue['backend']
  readonly client: Awaited<Queue['backend']['client']>
}

/** One time of being connected: it ends as a whole. */
export interface Session {
  /** For every command that does not block. */
  readonly commands: Redis
  readonly scripts: Scripts
  readonly subscriber: Redis
  bull(queue: WorkQueue): Promise<Bull>
  /** One more connection, for commands that block. When it is gone, the session is over. */
  open(use: string): Promise<Redis>
  /** Ends one of these. */
  close(connection: Redis): void
  readonly isOpen: boolean
  /** Resolves with the reason when one of the connections is gone; never rejects. */
  readonly ended: Promise<string>
  /** Called with the reason when it ends. */
  readonly onEnd: Set<(reason: string) => void>
  /** The server answered with it: what says that it is a replica now, or has lost its scripts, ends the session. */
  note(error: unknown): void
  /** It is of no use any more: a new one is dialled for. */
  fail(reason: string): void
  end(): Promise<void>
}

/** Redis says nothing by itself: a connection is given up when the answer to a ping is missing for so long. */
const PING_MS = 5_000
const ANSWER_MS = 10_000
const CLOSE_MS = 2_000

/** What the library is told about every connection: the adapter dials again, stores nothing and sends nothing twice by itself. */
const BASE: LibraryOptions = {
  lazyConnect: true,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: null,
}

/**
 * Connects to one node. Rejects with BROKER_REFUSED for what dialling again cannot mend, CONFIG if a library is missing, else
 * with BROKER_UNAVAILABLE.
 */
export async function dial(node: RedisNode, options: ResolvedRedisOptions): Promise<Session> {
  const libraries = await loadLibraries()
  const make = (use: string, more: LibraryOptions = {}): Redis => {
    const settings: LibraryOptions = {
      ...BASE,
      ...options.ioredis,
      ...more,
      connectTimeout: options.dialTimeoutMs,
      connectionName: `replyto ${use} ${process.pid}`,
    }
    if (!options.isCluster) return new libraries.Redis(node.url, settings)
    const cluster = new libraries.Cluster(
      options.nodes.map(({ url }) => url),
      {
        lazyConnect: true,
        clusterRetryStrategy: () => null,
        enableOfflineQueue: true, // it connects to its nodes on first use
        redisOptions: settings,
      },
    )
    return cluster as unknown as Redis // it has the same commands; what differs is not used here
  }
  const session = holdSession(libraries, options, make)
  try {
    await inTime(session.connect(), node, options)
    return session
  } catch (error) {
    await session.end()
    throw dialError(error, node)
  }
}

/** A server that takes connections and says nothing is given up, as one that takes none. */
export function inTime<T>(work: Promise<T>, node: RedisNode, { dialTimeoutMs }: ResolvedRedisOptions): Promise<T> {
  const late = `${node.shown}: no answer within ${dialTimeoutMs} ms`
  return within(work, dialTimeoutMs, () => new BrokerError('BROKER_UNAVAILABLE', late))
}

interface Libraries {
  readonly Redis: typeof import('ioredis').Redis
  readonly Cluster: typeof import('ioredis').Cluster
  readonly Queue: typeof import('bullmq').Queue
}

async function loadLibraries(): Promise<Libraries> {
  try {
    const [{ Redis, Cluster }, { Queue }] = await Promise.all([import('ioredis'), import('bullmq')])
    return { Redis, Cluster, Queue }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error
    throw new ConfigError(
      "Redis is reached by the packages 'bullmq' and 'ioredis', which are not both installed: npm i bullmq ioredis",
    )
  }
}

function dialError(error: unknown, node: RedisNode): unknown {
  if (error instanceof BrokerError) return error
  const refusal = refusalText(error, node.username)
  return refusal === undefined
    ? new BrokerError('BROKER_UNAVAILABLE', `${node.shown}: ${shortOf(error)}`)
    : new BrokerError('BROKER_REFUSED', `${node.shown}: ${refusal}`)
}

function holdSession(
  { Queue: BullQueue }: Libraries,
  options: ResolvedRedisOptions,
  make: (use: string, more?: LibraryOptions) => Redis,
): Session & { connect(): Promise<void> } {
  let isOpen = true
  let end: (reason: string) => void = () => {}
  let pinging: NodeJS.Timeout | undefined
  const connections = new Set<Redis>()
  const bulls = new Map<string, Promise<Bull>>()
  const onEnd = new Set<(reason: string) => void>()
  const ended = new Promise<string>((resolve) => {
    end = (reason) => {
      if (!isOpen) return
      isOpen = false
      clearInterval(pinging)
      for (const listener of onEnd) listener(reason)
      resolve(reason)
      for (const connection of connections) connection.disconnect()
    }
  })
  const commands = hold(make('commands'))
  const subscriber = hold(make('listening'))

  function hold(connection: Redis): Redis {
    let why = 'the connection was closed'
    connections.add(connection)
    connection.on('error', (error) => (why = shortOf(error)))
    connection.on('end', () => {
      if (connections.delete(connection)) end(why)
    })
    return connection
  }

  /** Rejects with the first thing that went wrong, which the library may only emit. */
  async function connect(connection: Redis): Promise<void> {
    let stop = (): void => {}
    const failed = new Promise<never>((_, reject) => {
      connection.on('error', reject)
      stop = () => connection.off('error', reject)
    })
    failed.catch(() => {}) // also if connecting was faster to fail
    try {
      await Promise.race([connection.connect(), failed])
    } finally {
      stop()
    }
  }

  function ping(): void {
    for (const connection of [commands, subscriber]) {
      const timer = setTimeout(() => end(`no answer to PING within ${ANSWER_MS} ms`), ANSWER_MS)
      const stop = (): void => clearTimeout(timer)
      connection.ping().then(stop, stop) // if it fails, the connection ends
    }
  }

  async function openBull(queue: WorkQueue): Promise<Bull> {
    const settings = {
      connection: commands,
      prefix: queue.prefix,
      skipVersionCheck: true,
      skipMetasUpdate: true,
      // Read by the scripts that take jobs, which BullMQ's own Worker uses in the same way.
      lockDuration: options.lockMs,
      stalledInterval: options.stalledCheckMs,
      maxStalledCount: NEVER,
    }
    const bull = new BullQueue(queue.name, settings)
    bull.on('error', () => {}) // that of a command is told to who gave it
    return { backend: bull.backend, client: await bull.backend.client }
  }

  const session = {
    commands,
    scripts: defineScripts(commands),
    subscriber,
    bull(queue: WorkQueue): Promise<Bull> {
      const known = bulls.get(queue.name)
      if (known !== undefined) return known
      const opening = openBull(queue)
      bulls.set(queue.name, opening)
      opening.catch(() => bulls.delete(queue.name))
      return opening
    },
    async open(use: string): Promise<Redis> {
      const connection = hold(make(use))
      if (!isOpen) connection.disconnect()
      await connect(connection)
      return connection
    },
    close(connection: Redis): void {
      connections.delete(connection)
      connection.disconnect()
    },
    get isOpen() {
      return isOpen
    },
    ended,
    onEnd,
    note(error: unknown): void {
      if (isNotPrimary(error) || isForgotten(error)) end(shortOf(error))
    },
    fail: (reason: string) => end(reason),
    async connect(): Promise<void> {
      await connect(commands)
      await connect(subscriber)
      if (commands.stream instanceof Socket) gatherWrites(commands.stream) // that of a cluster is several
      pinging = setInterval(ping, PING_MS).unref()
    },
    /** What was sent before arrives; a server that is silent is not waited for. */
    async end(): Promise<void> {
      if (isOpen && commands.status === 'ready') await quit(commands)
      end('it was closed')
    },
  }
  return session
}

/** A job is not given up because its workers end: the core counts that, and finds out which one is to blame. */
const NEVER = 1_000_000_000

async function quit(connection: Redis): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS)
  })
  await Promise.race([connection.ping().then(unheard, unheard), late])
  clearTimeout(timer)
}

function unheard(): void {}
