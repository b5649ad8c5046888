import { BrokerError } from '../../protocol/errors.ts'
import { within } from '../within.ts'
import { nameOfError, refusalText, shortOf } from './failures.ts'
import { openWire } from './open-wire.ts'
import type { ResolvedKafkaOptions } from './options.ts'
import { createProducer, type Producer } from './producer.ts'
import type { Wire } from './wire.ts'

/** One time of being connected: it ends as a whole. */
export interface Session {
  /** For all that does not wait at the server. */
  readonly main: Wire
  readonly producer: Producer
  /** More connections, for what waits; they end with the session. */
  open(use: string): Wire
  /** Ends one of these. */
  close(wire: Wire): void
  readonly isOpen: boolean
  /** Resolves with the reason when the cluster cannot be reached any more; never rejects. */
  readonly ended: Promise<string>
  /** Called with the reason when it ends. */
  readonly onEnd: Set<(reason: string) => void>
  end(): Promise<void>
}

/** Kafka says nothing by itself: the session is over when no node answers. */
const PING_MS = 3_000

/**
 * Connects to whichever node answers. Rejects with BROKER_REFUSED for what dialling again cannot mend, CONFIG if the library is
 * missing, else with BROKER_UNAVAILABLE.
 */
export async function dial(options: ResolvedKafkaOptions): Promise<Session> {
  const session = holdSession(options)
  const late = `${options.url}: no answer within ${options.dialTimeoutMs} ms`
  const work = async (): Promise<void> => {
    await session.main.connect()
    await session.main.ping()
  }
  try {
    await within(work(), options.dialTimeoutMs, () => new BrokerError('BROKER_UNAVAILABLE', late))
    session.watch()
    return session
  } catch (error) {
    await session.end()
    throw dialError(error, options)
  }
}

function dialError(error: unknown, { url, sasl }: ResolvedKafkaOptions): unknown {
  if (error instanceof BrokerError) return error
  const refusal = refusalText(error, sasl?.username)
  return refusal === undefined
    ? new BrokerError('BROKER_UNAVAILABLE', `${url}: ${shortOf(error)}`)
    : new BrokerError('BROKER_REFUSED', `${url}: ${refusal}`)
}

function holdSession(options: ResolvedKafkaOptions): Session & { watch(): void } {
  const wires = new Set<Wire>()
  const onEnd = new Set<(reason: string) => void>()
  let isOpen = true
  let isLooking = false
  let pinging: NodeJS.Timeout | undefined
  let end: (reason: string) => void = () => {}
  const ended = new Promise<string>((resolve) => {
    end = (reason) => {
      if (!isOpen) return
      isOpen = false
      clearInterval(pinging)
      for (const listener of onEnd) listener(reason)
      resolve(reason)
      for (const wire of wires) wire.close()
    }
  })
  const open = (use: string): Wire => {
    const wire = openWire({ options, use, onClosed: () => void look() })
    wires.add(wire)
    if (!isOpen) wire.close()
    return wire
  }
  const main = open('main')

  /** A node that is gone is no loss while another one answers. */
  async function look(): Promise<void> {
    if (isLooking || !isOpen || pinging === undefined) return
    isLooking = true
    try {
      await main.ping()
    } catch (error) {
      end(`${shortOf(error)} (${nameOfError(error)})`)
    }
    isLooking = false
  }

  return {
    main,
    producer: createProducer(main, { timeoutMs: options.requestTimeoutMs }),
    open,
    close(wire) {
      wires.delete(wire)
      wire.close()
    },
    get isOpen() {
      return isOpen
    },
    ended,
    onEnd,
    watch() {
      pinging = setInterval(() => void look(), PING_MS).unref()
    },
    end() {
      end('the adapter was stopped')
      return Promise.resolve()
    },
  }
}
