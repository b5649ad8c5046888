import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { AdapterContext, ReplyOutcome } from '../adapter.ts'
import { parseMailboxAddress, type MailboxPlace } from '../mailbox-address.ts'
import type { Session } from './dial.ts'
import { isOutOfMemory, isWrongType } from './failures.ts'
import { MAX_KEEP_MS } from './mailboxes.ts'
import { packReply, writeMeta } from './reply-data.ts'
import { toBuffer, type Broadcasts } from './subscriber.ts'

/** Replies of one session, to inboxes and mailboxes. */
export interface Replying {
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
}

interface ReplyingParts {
  readonly session: Session
  readonly broadcasts: Pick<Broadcasts, 'send'>
  readonly context: Pick<AdapterContext, 'namespace'>
  readonly maxMessageBytes: number
  readonly onOutOfMemory: () => void
}

/** A client that is alive makes an inbox that the server has lost again: a missing one is gone if it is still missing then. */
const RETURN_MS = 2_000
/** For so long what was gone is believed to be. */
const GONE_MS = 30_000

export function createReplying({
  session,
  broadcasts,
  context,
  maxMessageBytes,
  onOutOfMemory,
}: ReplyingParts): Replying {
  const gone = new Set<string>()

  async function toInbox(address: string, reply: Reply): Promise<ReplyOutcome> {
    if (await append(address, reply)) return 'stored'
    if (!gone.has(address)) {
      await new Promise((resolve) => setTimeout(resolve, RETURN_MS))
      if (!session.isOpen) return 'unknown'
      if (await append(address, reply)) return 'stored'
      gone.add(address)
      setTimeout(() => gone.delete(address), GONE_MS).unref()
    }
    return 'gone'
  }

  /** False: there is no such inbox. */
  async function append(address: string, reply: Reply): Promise<boolean> {
    const body = toBuffer(reply.body)
    const id = await session.commands.xadd(address, 'NOMKSTREAM', '*', 'meta', writeMeta(reply), 'body', body)
    return id !== null
  }

  /** Who reads now hears of an outcome when it is kept, and of the rest at once. */
  async function toMailbox({ name, topic, keepMs }: MailboxPlace, reply: Reply): Promise<ReplyOutcome> {
    if (isFinalReply(reply.type)) {
      const replay = replayOf(reply.headers)
      await session.scripts.run('keep', name, replay, writeMeta(reply), toBuffer(reply.body), keepMs)
    }
    broadcasts.send(topic, packReply(reply))
    return 'stored'
  }

  function outcomeOf(error: unknown): ReplyOutcome {
    if (isOutOfMemory(error)) onOutOfMemory()
    session.note(error)
    // Somebody else's key: no inbox of anybody.
    return isWrongType(error) ? 'gone' : 'unknown'
  }

  return {
    async reply(address, replies) {
      if (address === '') return replies.map(() => 'gone')
      const place = parseMailboxAddress(context.namespace, address, MAX_KEEP_MS)
      const send = async (reply: Reply): Promise<ReplyOutcome> => {
        if (reply.body.byteLength > maxMessageBytes) return 'tooLarge'
        try {
          return await (place === undefined ? toInbox(address, reply) : toMailbox(place, reply))
        } catch (error) {
          return outcomeOf(error)
        }
      }
      return Promise.all(replies.map(send))
    },
  }
}
