import type { ConsumeMessage } from 'amqplib'
import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Inbox } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { countsOf, declareQueue, withChannel } from './channels.ts'
import { openConsumer, type ConsumerChannel } from './consumer-channel.ts'
import type { Session } from './dial.ts'
import { readReply } from './properties.ts'
import type { Restore } from './restoring.ts'
import { inboxShape } from './topology.ts'

/** How many replies may be on their way to the core, which takes each at once. */
const PREFETCH = 1_000

export interface InboxParts {
  readonly session: () => Session
  readonly standings: StandingSet
  readonly restore: Restore
  readonly log: AdapterContext['log']
  readonly guard: (what: string, run: () => void) => void
}

export interface InboxOptions {
  readonly address: string
  readonly type: 'classic' | 'quorum'
  readonly leaseMs: number
  readonly onRecreated: () => void
  readonly onReply: (reply: Reply, done: () => void) => void
}

/** A queue that outlives its connection by the lease. Resolves when it can be replied to. */
export async function openInbox(parts: InboxParts, options: InboxOptions): Promise<Inbox> {
  const { session, standings, restore, log, guard } = parts
  const { address, onReply } = options
  const shape = inboxShape(address, options.type, options.leaseMs)
  let wasOpen = false
  let isClosed = false
  let current: ConsumerChannel | undefined

  const standing: Standing = {
    async establish() {
      const now = session()
      const isThere = wasOpen && (await countsOf(now, address)) !== undefined
      await declareQueue(now, shape, log)
      const consumer = await openConsumer({
        session: now,
        queue: address,
        prefetch: PREFETCH,
        onOver(why, over) {
          if (current === over && now.isOpen && !isClosed) restore(`the inbox ${address}`, standing, why)
        },
      })
      current = consumer
      consumer.start((raw) => take(consumer, raw))
      await caughtUp(now, consumer)
      if (wasOpen && !isThere) guard('onRecreated', options.onRecreated)
      wasOpen = true
    },
  }

  function take(consumer: ConsumerChannel, raw: ConsumeMessage): void {
    const reply = readReply(raw)
    if (reply === undefined) {
      log('warn', 'RABBITMQ_STRANGER', `what lies in ${address} without a type and a correlation id is dropped`)
      return consumer.ack(raw)
    }
    guard('onReply', () => onReply(reply, () => consumer.ack(raw)))
  }

  /** What waited is handed over: the core re-sends what is not answered. */
  async function caughtUp(now: Session, consumer: ConsumerChannel): Promise<void> {
    while (now.isOpen && !consumer.isOver) {
      // Answered on the channel of the consumer, so behind what was sent to it.
      const { messageCount } = await consumer.channel.checkQueue(address)
      if (messageCount === 0) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  await standings.add(standing)
  return {
    address,
    async close() {
      if (isClosed) return
      isClosed = true
      standings.remove(standing)
      try {
        await withChannel(session(), (channel) => channel.deleteQueue(address))
      } catch {
        // Away: its lease ends it.
      }
    },
  }
}
