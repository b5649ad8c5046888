import type { Channel, ConsumeMessage, Options } from 'amqplib'
import type { AdapterContext } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { openChannel, throughSeam } from './channels.ts'
import type { Session } from './dial.ts'
import { toBuffer } from './properties.ts'
import type { Restore } from './restoring.ts'
import { controlExchange } from './topology.ts'

/** What everybody who listens now hears. */
export interface Broadcasts {
  send(topic: string, body: Uint8Array, properties?: Options.Publish): void
  /** Resolves when it hears; gives what ends it. */
  listen(topic: string, listener: (body: Uint8Array) => void): Promise<() => void>
  listenFor(topic: string, listener: TopicListener): Promise<() => void>
}

export interface TopicListener {
  readonly onMessage: (raw: ConsumeMessage) => void
  /** It hears, for the first time or again: what was said before is missed. */
  readonly onBound?: (() => Promise<void>) | undefined
}

interface BroadcastParts {
  readonly context: Pick<AdapterContext, 'namespace' | 'log'>
  readonly session: () => Session
  readonly standings: StandingSet
  readonly restore: Restore
  readonly guard: (what: string, run: () => void) => void
  readonly url: string
}

interface Ear {
  readonly channel: Channel
  readonly queue: string
}

/** One queue a process, which ends with its connection; a binding a topic. */
export function createBroadcasts({ context, session, standings, restore, guard, url }: BroadcastParts): Broadcasts {
  const exchange = controlExchange(context.namespace)
  const topics = new Map<string, Map<TopicListener, Standing>>()
  let ear: { readonly session: Session; readonly opened: Promise<Ear> } | undefined
  let mouth: { readonly session: Session; readonly channel: Promise<Channel | undefined> } | undefined

  async function openEar(now: Session): Promise<Ear> {
    const channel = await openChannel(now)
    const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true })
    await channel.consume(
      queue,
      (raw) => {
        if (raw === null) return void channel.close().catch(() => {})
        const listeners = topics.get(raw.fields.routingKey)?.keys() ?? []
        for (const { onMessage } of listeners) guard('onBroadcast', () => onMessage(raw))
      },
      { noAck: true },
    )
    channel.on('close', () => {
      if (ear?.session === now) ear = undefined
      if (!now.isOpen) return
      for (const [topic, listeners] of topics)
        for (const standing of listeners.values())
          restore(`the topic ${topic}`, standing, 'its channel was closed', 'RABBITMQ_TOPIC_RESTORED')
    })
    return { channel, queue }
  }

  /** One for all topics, however many ask at once. */
  function earOf(now: Session): Promise<Ear> {
    if (ear?.session === now) return ear.opened
    const opened = openEar(now)
    const mine = { session: now, opened }
    ear = mine
    opened.catch(() => ear === mine && (ear = undefined)) // whoever asked gets it
    return opened
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

  async function say(topic: string, body: Uint8Array, properties?: Options.Publish): Promise<void> {
    try {
      const now = session()
      if (mouth?.session !== now) mouth = { session: now, channel: openMouth(now) }
      const channel = await mouth.channel
      channel?.publish(exchange, topic, toBuffer(body), properties)
    } catch {
      // Best effort: nobody hears it while the server is away.
    }
  }

  async function listenFor(topic: string, listener: TopicListener): Promise<() => void> {
    const listeners = topics.get(topic) ?? new Map<TopicListener, Standing>()
    const standing: Standing = {
      async establish() {
        await throughSeam(url, async () => {
          const { channel, queue } = await earOf(session())
          await channel.bindQueue(queue, exchange, topic)
        })
        await listener.onBound?.()
      },
    }
    const leave = (): void => {
      standings.remove(standing)
      if (!listeners.delete(listener) || listeners.size > 0) return
      if (topics.get(topic) === listeners) topics.delete(topic)
      void unbind(topic)
    }
    topics.set(topic, listeners)
    listeners.set(listener, standing)
    try {
      await standings.add(standing)
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** Sent behind each earlier binding and before each later one. */
  async function unbind(topic: string): Promise<void> {
    try {
      const { channel, queue } = await earOf(session())
      if (!topics.has(topic)) await channel.unbindQueue(queue, exchange, topic)
    } catch {
      // It is away, and the binding with it.
    }
  }

  return {
    send: (topic, body, properties) => void say(topic, body, properties),
    listen: (topic, listener) => listenFor(topic, { onMessage: ({ content }) => listener(content) }),
    listenFor,
  }
}
