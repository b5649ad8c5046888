import type { AdapterContext } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { toBuffer } from './records.ts'
import { createTail } from './tail.ts'
import { ensureTopics, type Topics } from './topics.ts'

/** What everybody who listens now hears: a topic of one partition, which each process reads from its end. */
export interface Broadcasts {
  send(topic: string, body: Uint8Array): void
  /** Resolves when it hears; gives what ends it. */
  listen(topic: string, onMessage: (body: Buffer) => void): Promise<() => void>
  /** Resolves when what was sent is stored, or cannot be. */
  drain(): Promise<void>
  end(): void
}

interface BroadcastParts {
  readonly context: Pick<AdapterContext, 'log'>
  readonly topics: Topics
  readonly session: () => Session
  readonly standings: StandingSet
  readonly guard: (what: string, run: () => void) => void
  readonly url: string
}

const TOPIC = 'rt-topic'

export function createBroadcasts({ context, topics, session, standings, guard, url }: BroadcastParts): Broadcasts {
  const listeners = new Map<string, Set<(body: Buffer) => void>>()
  const { topic: control } = topics.control
  const place = { topic: control, partition: 0 }
  const tail = createTail({
    ...place,
    use: 'broadcasts',
    make: ({ main }) => ensureTopics(main, [topics.control]),
    log: context.log,
    onRecord({ headers, value }) {
      for (const listener of listeners.get(headers[TOPIC] ?? '') ?? [])
        guard('onBroadcast', () => listener(value ?? Buffer.alloc(0)))
    },
  })
  const standing: Standing = {
    establish: () =>
      throughSeam(url, async () => {
        const now = session()
        await ensureTopics(now.main, [topics.control])
        await tail.follow(now)
      }),
  }
  const underWay = new Set<Promise<unknown>>()
  let hearing: Promise<void> | undefined

  return {
    send(topic, body) {
      try {
        const now = session()
        const record = { key: null, value: toBuffer(body), headers: { [TOPIC]: topic } }
        const sending = now.main
          .topic(control)
          // Where there is no topic nobody listens.
          .then(async (facts) => facts !== undefined && now.producer.append(place, record))
          .catch(() => {}) // best effort
          .finally(() => underWay.delete(sending))
        underWay.add(sending)
      } catch {
        // Best effort: nobody hears it while the server is away.
      }
    },
    async listen(topic, onMessage) {
      const heard = (body: Buffer): void => onMessage(body) // one function may listen twice
      const all = listeners.get(topic) ?? new Set()
      listeners.set(topic, all.add(heard))
      hearing ??= standings.add(standing)
      hearing.catch(() => (hearing = undefined))
      const leave = (): void => {
        if (all.delete(heard) && all.size === 0 && listeners.get(topic) === all) listeners.delete(topic)
      }
      try {
        await hearing
      } catch (error) {
        leave()
        throw error
      }
      return leave
    },
    async drain() {
      await Promise.all(underWay)
    },
    end: () => tail.end(),
  }
}
