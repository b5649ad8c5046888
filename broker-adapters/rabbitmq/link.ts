import { BrokerError, CallError, messageOf, ReplytoError } from '../../protocol/errors.ts'
import type { AdapterContext } from '../adapter.ts'
import { dial, type Session } from './dial.ts'
import type { ResolvedRabbitmqOptions } from './options.ts'

/** The one session at a time, dialled for anew whenever it ends. */
export interface Link {
  /** Resolves when everything is in place for the first time; rejects for what dialling again cannot mend, and at `stop`. */
  start(): Promise<void>
  /** The connection that is there now. Throws BROKER_UNAVAILABLE, after `stop` CLOSED. */
  session(): Session
  readonly isStopped: boolean
  stop(): Promise<void>
}

interface LinkOptions {
  readonly options: ResolvedRabbitmqOptions
  readonly context: AdapterContext
  readonly url: string
  /** Puts everything in place before `up` is said; rejects if the session ends meanwhile. */
  readonly onSession: (session: Session) => Promise<void>
  /** The session is gone: nothing that it had is held any more. */
  readonly onEnded: () => void
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000
/** One that was up and refuses now may have lost a user or a virtual host for a moment. */
const REFUSED_PAUSE_MS = 10_000

export function createLink({ options, context, url, onSession, onEnded }: LinkOptions): Link {
  let current: Session | undefined
  let isStopped = false
  let wakeUp: () => void = () => {}
  let redialling: Promise<void> | undefined
  let dials = 0

  function say(...state: Parameters<AdapterContext['onState']>): void {
    try {
      context.onState(...state)
    } catch (error) {
      context.log('error', 'RABBITMQ_CALLBACK', `onState threw: ${messageOf(error)}`)
    }
  }

  async function open(): Promise<Session> {
    const node = options.nodes[dials++ % options.nodes.length] ?? options.nodes[0]
    const session = await dial(node, options)
    if (isStopped) {
      await session.end()
      throw closed()
    }
    current = session
    session.publishing.on('blocked', (reason) => say('blocked', reason))
    session.publishing.on('unblocked', () => say('up'))
    try {
      await Promise.race([onSession(session), failAtEnd(session)])
      return session
    } catch (error) {
      await drop(session)
      throw error
    }
  }

  async function failAtEnd(session: Session): Promise<never> {
    throw new BrokerError('BROKER_UNAVAILABLE', `${url}: ${await session.ended}`)
  }

  async function drop(session: Session): Promise<void> {
    if (current === session) current = undefined
    onEnded()
    await session.end()
  }

  /** Until it is connected; rejects only with what ends the first connecting. */
  async function connectAtLast(isFirst: boolean): Promise<Session> {
    let pauseMs = FIRST_PAUSE_MS
    for (;;) {
      try {
        return await open()
      } catch (error) {
        if (isStopped) throw closed()
        const isRefused = !(error instanceof ReplytoError && error.code === 'BROKER_UNAVAILABLE')
        if (isRefused && isFirst) throw error
        say(isRefused ? 'refused' : 'down', messageOf(error))
        // Of several nodes the next one is asked at once.
        if (dials % options.nodes.length !== 0 && !isRefused) continue
        await pause(isRefused ? REFUSED_PAUSE_MS : pauseMs * (0.75 + Math.random() / 2))
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
      }
    }
  }

  async function keepUp(first: Session): Promise<void> {
    let session = first
    while (!isStopped) {
      say('up')
      const reason = await session.ended
      await drop(session)
      if (isStopped) return
      say('down', reason)
      try {
        session = await connectAtLast(false)
      } catch {
        return // stopped
      }
    }
  }

  async function pause(ms: number): Promise<void> {
    if (isStopped) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      wakeUp = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  return {
    async start() {
      redialling = keepUp(await connectAtLast(true))
    },
    session() {
      if (isStopped) throw closed()
      if (current?.isOpen === true) return current
      throw new BrokerError('BROKER_UNAVAILABLE', `${url} is away`)
    },
    get isStopped() {
      return isStopped
    },
    async stop() {
      isStopped = true
      wakeUp()
      onEnded()
      await current?.end()
      await redialling
    },
  }
}

function closed(): CallError {
  return new CallError('CLOSED', 'the broker was closed')
}
