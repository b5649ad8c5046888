import type { Channel } from 'amqplib'
import type { AdapterContext } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { openChannel } from './channels.ts'
import type { Session } from './dial.ts'
import { toBuffer } from './properties.ts'
import type { Restore } from './restoring.ts'
import { controlExchange } from './topology.ts'

/** What everybody who listens now hears. */
export interface Broadcasts {
  send(topic: string, body: Uint8Array): void
  listen(topic: string, listener: (body: Uint8Array) => void): Promise<() => void>
}

interface BroadcastParts {
  readonly context: Pick<AdapterContext, 'namespace' | 'log'>
  readonly session: () => Session
  readonly standings: StandingSet
  readonly restore: Restore
  readonly guard: (what: string, run: () => void) => void
}

interface Ear {
  readonly channel: Channel
  readonly queue: string
}

interface Topic {
  readonly listeners: Set<(body: Uint8Array) => void>
  readonly standing: Standing
  /** It is in place for the first time. */
  readonly ready: Promise<void>
}

/** One queue a process, which ends with its connection; a binding a topic. */
export function createBroadcasts({ context, session, standings, restore, guard }: BroadcastParts): Broadcasts {
  const exchange = controlExchange(context.namespace)
  const topics = new Map<string, Topic>()
  let ear: { readonly session: Session; readonly opened: Promise<Ear> } | undefined
  let mouth: { readonly session: Session; readonly channel: Promise<Channel | undefined> } | undefined

  async function openEar(now: Session): Promise<Ear> {
    const channel = await openChannel(now)
    const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true })
    await channel.consume(
      queue,
      (raw) => {
        if (raw === null) return void channel.close().catch(() => {})
        const { listeners } = topics.get(raw.fields.routingKey) ?? { listeners: [] }
        for (const listener of [...listeners]) guard('onBroadcast', () => listener(raw.content))
      },
      { noAck: true },
    )
    channel.on('close', () => {
      if (ear?.session === now) ear = undefined
      if (!now.isOpen) return
      for (const [topic, { standing }] of topics) restore(`the topic ${topic}`, standing, 'its channel was closed')
    })
    return { channel, queue }
  }

  /** One for all topics, however many ask at once. */
  function earOf(now: Session): Promise<Ear> {
    if (ear?.session !== now) ear = { session: now, opened: openEar(now) }
    return ear.opened
  }

  async function openMouth(now: Session): Promise<Channel | undefined> {
    try {
      const channel = await now.publishing.createChannel()
      channel.on('error', () => {})
      channel.on('close', () => (mouth = undefined))
      return channel
    } catch {
      return undefined
    }
  }

  async function say(topic: string, body: Uint8Array): Promise<void> {
    try {
      const now = session()
      if (mouth?.session !== now) mouth = { session: now, channel: openMouth(now) }
      const channel = await mouth.channel
      channel?.publish(exchange, topic, toBuffer(body))
    } catch {
      // Best effort: nobody hears it while the server is away.
    }
  }

  return {
    send: (topic, body) => void say(topic, body),
    async listen(topic, listener) {
      const heard = (body: Uint8Array): void => listener(body) // one function may listen twice
      const known = topics.get(topic) ?? openTopic(topic)
      known.listeners.add(heard)
      await known.ready
      return () => void known.listeners.delete(heard)
    },
  }

  function openTopic(name: string): Topic {
    const standing: Standing = {
      async establish() {
        const { channel, queue } = await earOf(session())
        await channel.bindQueue(queue, exchange, name)
      },
    }
    const topic = { listeners: new Set<(body: Uint8Array) => void>(), standing, ready: standings.add(standing) }
    topics.set(name, topic)
    return topic
  }
}
