import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Inbox } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { placeOf } from './hash.ts'
import { readReply } from './records.ts'
import { createTail, type Tail } from './tail.ts'
import { ensureTopics, type Topics } from './topics.ts'

// All inboxes of a namespace share one topic. Each has a partition, is read there from its end when it is opened, and passes over what is for
// others. So a client is ready at once, without a group of its own, and nothing is moved to anybody when others come and go.

export interface InboxParts {
  readonly session: () => Session
  readonly topics: Topics
  readonly standings: StandingSet
  readonly log: AdapterContext['log']
  readonly guard: (what: string, run: () => void) => void
  readonly url: string
}

export interface InboxOptions {
  /** Among all inboxes. */
  readonly id: string
  readonly onRecreated: () => void
  readonly onReply: (reply: Reply, done: () => void) => void
}

export interface InboxPlace {
  readonly partition: number
  readonly id: string
}

function inboxAddress(topic: string, { partition, id }: InboxPlace): string {
  return `${topic}/${partition}/${id}`
}

/** Undefined: it is no inbox of this namespace. */
export function parseInboxAddress(topic: string, address: string): InboxPlace | undefined {
  if (!address.startsWith(`${topic}/`)) return undefined
  const [, partition, id] = /^(\d{1,5})\/([A-Za-z0-9._-]{1,100})$/.exec(address.slice(topic.length + 1)) ?? []
  return partition === undefined || id === undefined ? undefined : { partition: Number(partition), id }
}

/** Resolves when it can be replied to. */
export async function openInbox(parts: InboxParts, { id, onRecreated, onReply }: InboxOptions): Promise<Inbox> {
  const { session, topics, standings, log, guard, url } = parts
  const { topic } = topics.reply
  let place: InboxPlace | undefined
  let tail: Tail | undefined
  let isClosed = false

  const standing: Standing = {
    establish: () =>
      throughSeam(url, async () => {
        const now = session()
        const [facts] = await ensureTopics(now.main, [topics.reply])
        place ??= { partition: placeOf(id, facts?.partitions ?? 1), id }
        tail ??= createTail({
          topic,
          partition: place.partition,
          use: 'inbox',
          make: ({ main }) => ensureTopics(main, [topics.reply]),
          log,
          onRecord(record) {
            if (record.key?.toString() !== id || isClosed) return
            const reply = readReply(record)
            if (reply === undefined)
              log('warn', 'KAFKA_STRANGER', `what lies in ${topic} for ${id} and is no reply is dropped`)
            else guard('onReply', () => onReply(reply, () => {}))
          },
          onGap: () => guard('onRecreated', onRecreated),
        })
        await tail.follow(now)
      }),
  }
  await standings.add(standing)
  if (place === undefined) throw new Error('it is in place')
  return {
    address: inboxAddress(topic, place),
    close() {
      isClosed = true
      standings.remove(standing)
      tail?.end()
      return Promise.resolve()
    },
  }
}
