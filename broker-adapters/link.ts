import { BrokerError, CallError, messageOf, ReplytoError } from '../protocol/errors.ts'
import type { AdapterContext } from './adapter.ts'
import { createGuard } from './call-listener.ts'

/** One time of being connected: it ends as a whole. */
export interface LinkedSession {
  readonly isOpen: boolean
  /** Resolves with the reason when it is over; never rejects. */
  readonly ended: Promise<string>
  /** Never rejects, and takes seconds at most. */
  end(): Promise<void>
}

type Say = AdapterContext['onState']

/** The one session at a time, dialled for anew whenever it ends. */
export interface Link<Session> {
  /** Resolves when everything is in place for the first time; rejects for what dialling again cannot mend, and at `stop`. */
  start(): Promise<void>
  /** The connection that is there now. Throws BROKER_UNAVAILABLE, after `stop` CLOSED. */
  session(): Session
  readonly isStopped: boolean
  stop(): Promise<void>
}

interface LinkOptions<Session> {
  readonly context: AdapterContext
  readonly url: string
  /** How many nodes there are to dial. */
  readonly nodes: number
  /** Connects to one of them. Rejects with BROKER_UNAVAILABLE if dialling again may do. */
  readonly dial: (node: number) => Promise<Session>
  /** Tells what the server says of itself while the session lasts, such as `blocked`. */
  readonly watch: (session: Session, say: Say) => void
  /** Puts everything in place before `up` is said; rejects if the session ends meanwhile. */
  readonly onSession: (session: Session) => Promise<void>
  /** The session is gone: nothing that it had is held any more. */
  readonly onEnded: () => void
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000
/** One that was up and refuses now may have lost a user or a virtual host for a moment. */
const REFUSED_PAUSE_MS = 10_000

export function createLink<Session extends LinkedSession>({
  context,
  url,
  nodes,
  dial,
  watch,
  onSession,
  onEnded,
}: LinkOptions<Session>): Link<Session> {
  const guard = createGuard(context.log)
  let current: Session | undefined
  let isStopped = false
  let wakeUp: () => void = () => {}
  let redialling: Promise<void> | undefined
  let dials = 0

  const say: Say = (...state) => guard('onState', () => context.onState(...state))

  async function open(): Promise<Session> {
    const session = await dial(dials++ % nodes)
    if (isStopped) {
      await session.end()
      throw closed()
    }
    current = session
    watch(session, say)
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
        if (dials % nodes !== 0 && !isRefused) continue
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
