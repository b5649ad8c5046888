import type { Channel, ChannelModel } from 'amqplib'
import { BrokerError, ConfigError } from '../../protocol/errors.ts'
import { refusalText, shortOf } from './failures.ts'
import type { RabbitmqNode, ResolvedRabbitmqOptions } from './options.ts'
import { destroySocket, gatherFrames } from './socket.ts'

/** One time of being connected: it ends as a whole. */
export interface Session {
  readonly node: RabbitmqNode
  /** Deliveries and their settlement. Apart, as an alarm of the server blocks a connection that publishes, acks included. */
  readonly consuming: ChannelModel
  readonly publishing: ChannelModel
  /** All that are open, but for those of the publisher. */
  readonly channels: Set<Channel>
  readonly isOpen: boolean
  /** Something was acked or given back now. */
  noteSettled(): void
  /** Resolves when a channel may end without taking that along; see `SETTLING_MS`. */
  settled(): Promise<void>
  /** Resolves with the reason when one of the connections is gone; never rejects. */
  readonly ended: Promise<string>
  /** Called with the reason when it ends. */
  readonly onEnd: Set<(reason: string) => void>
  /** It is of no use any more: a new one is dialled for. */
  fail(reason: string): void
  /** Closes both; what was written before arrives. Resolves within `CLOSE_MS`, also if the server is silent. */
  end(): Promise<void>
}

/** Older servers lack message TTL in quorum queues and dead-lettering that loses nothing. */
const OLDEST = [3, 10] as const
const CLOSE_MS = 2_000
/**
 * Between the last ack and the end of its channel. A quorum queue takes some dozens of acks at a time, and the server forgets
 * the rest when the channel ends: what they settled would come again. It confirms no ack.
 */
const SETTLING_MS = 250

/**
 * Between two dials of which the first was refused. A server that stops or starts, or an operator who closes all connections,
 * refuses logins and vhosts just so, and amqplib does not hand on the server's code: what is still refused then is an operator's
 * to mend.
 */
const DOUBT_MS = 300

/**
 * Connects to one node. Rejects with BROKER_REFUSED for what dialling again cannot mend, CONFIG if amqplib is missing, else
 * with BROKER_UNAVAILABLE.
 */
export async function dial(node: RabbitmqNode, options: ResolvedRabbitmqOptions): Promise<Session> {
  const { publishing, consuming } = await connectBoth(node, options).catch(async (error: unknown) => {
    if (!(error instanceof BrokerError && error.code === 'BROKER_REFUSED')) throw error
    await new Promise((resolve) => setTimeout(resolve, DOUBT_MS))
    return connectBoth(node, options)
  })
  const session = holdSession(node, publishing, consuming)
  const problem = versionProblem(publishing)
  if (problem === undefined) return session
  await session.end()
  throw new BrokerError('BROKER_REFUSED', `${node.url}: ${problem}`)
}

async function connectBoth(
  node: RabbitmqNode,
  options: ResolvedRabbitmqOptions,
): Promise<Pick<Session, 'publishing' | 'consuming'>> {
  const { connect } = await loadLibrary()
  const settings = {
    protocol: node.protocol,
    hostname: node.hostname,
    port: node.port,
    username: node.username,
    password: node.password,
    vhost: encodeURIComponent(node.vhost),
    heartbeat: options.heartbeatMs / 1_000,
  }
  const socket = { ...options.tls, noDelay: true, keepAlive: true, timeout: options.dialTimeoutMs }
  const opened = await Promise.allSettled(
    ['calls', 'replies'].map(async (use) => {
      const clientProperties = { connection_name: `replyto ${use} ${process.pid}` }
      return connect(settings, { ...socket, clientProperties } as Parameters<typeof connect>[1] & object) // `ca` may be read-only
    }),
  )
  const models = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const [publishing, consuming] = models
  const failure = opened.find((one) => one.status === 'rejected')
  if (failure === undefined && publishing !== undefined && consuming !== undefined) return { publishing, consuming }
  for (const model of models) void closeModel(model)
  throw dialError(failure?.reason, node)
}

async function loadLibrary(): Promise<typeof import('amqplib')> {
  try {
    return await import('amqplib')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error
    throw new ConfigError("RabbitMQ is reached by the package 'amqplib', which is not installed: npm i amqplib")
  }
}

function dialError(reason: unknown, node: RabbitmqNode): BrokerError {
  const refusal = refusalText(reason, node)
  return refusal === undefined
    ? new BrokerError('BROKER_UNAVAILABLE', `${node.url}: ${shortOf(reason)}`)
    : new BrokerError('BROKER_REFUSED', `${node.url}: ${refusal}`)
}

function versionProblem({ connection }: ChannelModel): string | undefined {
  const { version, product } = connection.serverProperties as { version?: unknown; product?: unknown } // a server may say anything
  const needed = `RabbitMQ ${OLDEST.join('.')} or newer is needed`
  if (typeof version !== 'string') return `the server says no version; ${needed}`
  if (product !== 'RabbitMQ') return `the server is ${String(product)} ${version}; ${needed}`
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isNewEnough = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])
  return isNewEnough ? undefined : `the server is RabbitMQ ${version}; ${OLDEST.join('.')} or newer is needed`
}

function holdSession(node: RabbitmqNode, publishing: ChannelModel, consuming: ChannelModel): Session {
  let isOpen = true
  let end: (reason: string) => void = () => {}
  const onEnd = new Set<(reason: string) => void>()
  const ended = new Promise<string>((resolve) => {
    end = (reason) => {
      isOpen = false
      for (const listener of onEnd) listener(reason)
      resolve(reason)
    }
  })
  for (const model of [publishing, consuming]) {
    gatherFrames(model)
    let why = 'the connection was closed'
    model.on('error', (error) => (why = shortOf(error)))
    model.on('close', (error) => end(error === undefined ? why : shortOf(error)))
    model.on('handler-error', (error) => end(`a listener threw: ${shortOf(error)}`))
  }
  const channels = new Set<Channel>()
  let settledAt = -Infinity
  const session: Session = {
    node,
    consuming,
    publishing,
    channels,
    get isOpen() {
      return isOpen
    },
    ended,
    onEnd,
    fail: (reason) => end(reason),
    noteSettled: () => void (settledAt = performance.now()),
    async settled() {
      const waitMs = settledAt + SETTLING_MS - performance.now()
      if (isOpen && waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    },
    async end() {
      await session.settled()
      if (isOpen) await within(CLOSE_MS, Promise.all([...channels].map(closeChannel)))
      await Promise.all([publishing, consuming].map(closeModel))
      end('it was closed')
    },
  }
  return session
}

/** Each channel has a buffer of its own in amqplib, so the end of the connection would overtake what was settled last. */
function closeChannel(channel: Channel): Promise<void> {
  const closed = new Promise<void>((resolve) => channel.once('close', () => resolve()))
  channel.close().catch(() => {}) // it is closing already
  return closed
}

async function closeModel(model: ChannelModel): Promise<void> {
  // Closing what is closed already throws.
  const isClosed = await within(
    CLOSE_MS,
    model.close().catch(() => {}),
  )
  if (!isClosed) destroySocket(model)
}

/** False: it took longer, and is not waited for. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  const isInTime = await Promise.race([work.then(() => true), late])
  clearTimeout(timer)
  return isInTime
}
