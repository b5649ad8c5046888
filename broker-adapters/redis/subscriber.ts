import type { AdapterContext } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { channelOf } from './keys.ts'

/** What everybody who listens now hears. */
export interface Broadcasts {
  send(topic: string, body: Uint8Array): void
  /** Resolves when it hears; gives what ends it. */
  listen(topic: string, listener: TopicListener): Promise<() => void>
}

export interface TopicListener {
  readonly onMessage: (body: Buffer) => void
  /** It hears, for the first time or again: what was said before is missed. */
  readonly onBound?: (() => Promise<void>) | undefined
}

interface BroadcastParts {
  readonly context: Pick<AdapterContext, 'namespace'>
  readonly session: () => Session
  readonly standings: StandingSet
  readonly guard: (what: string, run: () => void) => void
  readonly url: string
}

/** One connection that listens for all topics of a process. */
export function createBroadcasts({ context, session, standings, guard, url }: BroadcastParts): Broadcasts {
  const channels = new Map<string, Map<TopicListener, Standing>>()
  const heard = new WeakSet<Session>()

  /** Its messages of all channels, from now on. */
  function hear(now: Session): void {
    if (heard.has(now)) return
    heard.add(now)
    now.subscriber.on('messageBuffer', (channel: Buffer, body: Buffer) => {
      const listeners = channels.get(channel.toString())?.keys() ?? []
      for (const { onMessage } of listeners) guard('onBroadcast', () => onMessage(body))
    })
  }

  return {
    send(topic, body) {
      try {
        session()
          .commands.publish(channelOf(context.namespace, topic), toBuffer(body))
          .catch(() => {}) // best effort
      } catch {
        // Best effort: nobody hears it while the server is away.
      }
    },
    async listen(topic, listener) {
      const channel = channelOf(context.namespace, topic)
      const listeners = channels.get(channel) ?? new Map<TopicListener, Standing>()
      const standing: Standing = {
        async establish() {
          const now = session()
          hear(now)
          await throughSeam(url, () => now.subscriber.subscribe(channel))
          await listener.onBound?.()
        },
      }
      const leave = (): void => {
        standings.remove(standing)
        if (!listeners.delete(listener) || listeners.size > 0) return
        if (channels.get(channel) === listeners) channels.delete(channel)
        try {
          session()
            .subscriber.unsubscribe(channel)
            .catch(() => {})
        } catch {
          // It is away, and what it listened to with it.
        }
      }
      channels.set(channel, listeners)
      listeners.set(listener, standing)
      try {
        await standings.add(standing)
      } catch (error) {
        leave()
        throw error
      }
      return leave
    },
  }
}

export function toBuffer(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}
