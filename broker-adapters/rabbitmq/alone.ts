import type { Channel, ConsumeMessage } from 'amqplib'
import { BrokerError } from '../../protocol/errors.ts'
import { openChannel } from './channels.ts'
import type { Session } from './dial.ts'
import { isTaken } from './failures.ts'

const PAUSE_MS = 20
/** Whoever reads is done in milliseconds, or ends with its connection. */
const LONGEST_MS = 10_000

export interface AloneOptions {
  readonly session: Session
  /** A classic queue: quorum queues know no exclusive consumers. */
  readonly queue: string
  /** Makes it, where it does not outlive its readers. */
  readonly prepare?: ((channel: Channel) => Promise<unknown>) | undefined
  /** What others do meanwhile, for the error. */
  readonly what: string
  readonly onMessage: (raw: ConsumeMessage) => void
}

/**
 * Consumes as the only one, waiting its turn, on a channel of its own: closing that gives back what is not acked, in its old
 * order, and lets the next one in. Rejects as the server refuses, with BROKER_UNAVAILABLE when the turn does not come.
 */
export async function consumeAlone({ session, queue, prepare, what, onMessage }: AloneOptions): Promise<Channel> {
  const endsAt = performance.now() + LONGEST_MS
  for (;;) {
    const channel = await openChannel(session)
    try {
      await prepare?.(channel)
      await channel.consume(queue, (raw) => raw !== null && onMessage(raw), { exclusive: true })
      return channel
    } catch (error) {
      channel.close().catch(() => {}) // a refusal has closed it
      if (!isTaken(error)) throw error
      if (performance.now() > endsAt) throw new BrokerError('BROKER_UNAVAILABLE', `another process ${what}`)
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.5 + Math.random())))
  }
}

/** Resolves when the server has taken back what was open there, or the connection is gone. */
export async function closeChannel(channel: Channel): Promise<void> {
  try {
    await channel.close()
  } catch {
    // It is closed already.
  }
}
