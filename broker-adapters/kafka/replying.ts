import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, ReplyOutcome } from '../adapter.ts'
import { parseMailboxAddress } from '../mailbox-address.ts'
import type { Session } from './dial.ts'
import { isTooLarge } from './failures.ts'
import { parseInboxAddress } from './inbox.ts'
import { keptPlace, keptRecord } from './kept.ts'
import { replyRecord } from './records.ts'
import { ensureTopics, type Topics } from './topics.ts'
import type { Appended, NewRecord, Place } from './wire.ts'

/** Replies of one session, to inboxes and mailboxes. Nobody can tell whether an inbox is still read. */
export interface Replying {
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
}

interface ReplyingParts {
  readonly session: Session
  readonly topics: Topics
  readonly context: Pick<AdapterContext, 'namespace'>
  readonly maxMessageBytes: number
  readonly maxKeepMs: number
}

interface Target {
  readonly place: Place
  readonly record: (reply: Reply) => NewRecord
}

export function createReplying({ session, topics, context, maxMessageBytes, maxKeepMs }: ReplyingParts): Replying {
  const { main, producer } = session

  /** Undefined: it is nobody's. */
  async function find(address: string): Promise<Target | undefined> {
    const kept = parseMailboxAddress(context.namespace, address, maxKeepMs)
    if (kept !== undefined) {
      const callId = kept.topic.slice('kept.'.length)
      const [facts] = await ensureTopics(main, [topics.kept])
      const place = keptPlace(topics.kept.topic, callId, facts?.partitions ?? 1)
      return { place, record: (reply) => keptRecord(reply, { callId, keepMs: kept.keepMs }) }
    }
    const inbox = parseInboxAddress(topics.reply.topic, address)
    const facts = inbox === undefined ? undefined : await main.topic(topics.reply.topic)
    if (inbox === undefined || facts === undefined || inbox.partition >= facts.partitions) return undefined
    const place = { topic: topics.reply.topic, partition: inbox.partition }
    return { place, record: (reply) => replyRecord(reply, inbox.id) }
  }

  return {
    async reply(address, replies) {
      try {
        const target = await find(address)
        if (target === undefined) return replies.map(() => 'gone')
        return await Promise.all(
          replies.map(async (reply) => {
            if (reply.body.byteLength > maxMessageBytes) return 'tooLarge'
            return outcomeOf(await producer.append(target.place, target.record(reply)))
          }),
        )
      } catch {
        return replies.map(() => 'unknown')
      }
    },
  }
}

function outcomeOf(appended: Appended): ReplyOutcome {
  if (appended.status === 'stored') return 'stored'
  if (isTooLarge(appended.error)) return 'tooLarge'
  return 'unknown'
}
