import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { AdapterContext } from '../adapter.ts'
import { parseMailboxAddress, type MailboxPlace } from '../mailbox-address.ts'
import type { Session } from './dial.ts'
import { isNotPrimary, isOutOfMemory, shortOf } from './failures.ts'
import { MAX_KEEP_MS } from './mailboxes.ts'
import { packReply, writeMeta } from './reply-data.ts'
import { toBuffer, type Broadcasts } from './subscriber.ts'

type ReplyOutcome = 'stored' | 'gone' | 'unknown'

/** Replies of one session, to inboxes and mailboxes. */
export interface Replying {
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
}

interface ReplyingParts {
  readonly session: Session
  readonly broadcasts: Pick<Broadcasts, 'send'>
  readonly context: Pick<AdapterContext, 'namespace'>
  readonly onOutOfMemory: () => void
  /** It came after another one. */
  readonly isReconnect: boolean
}

/** After a reconnect clients that are alive may have to make their inboxes again: until then none counts as gone. */
const RETURN_MS = 2_000

export function createReplying({ session, broadcasts, context, onOutOfMemory, isReconnect }: ReplyingParts): Replying {
  const trustedFrom = isReconnect ? performance.now() + RETURN_MS : 0

  async function toInbox(address: string, reply: Reply): Promise<ReplyOutcome> {
    const body = toBuffer(reply.body)
    const id = await session.commands.xadd(address, 'NOMKSTREAM', '*', 'meta', writeMeta(reply), 'body', body)
    if (id !== null) return 'stored'
    return performance.now() >= trustedFrom ? 'gone' : 'unknown'
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
    if (isNotPrimary(error)) session.fail(shortOf(error))
    // Somebody else's key: no inbox of anybody.
    return /WRONGTYPE/.test(shortOf(error)) ? 'gone' : 'unknown'
  }

  return {
    async reply(address, replies) {
      if (address === '') return replies.map(() => 'gone')
      const place = parseMailboxAddress(context.namespace, address, MAX_KEEP_MS)
      const send = (reply: Reply): Promise<ReplyOutcome> =>
        (place === undefined ? toInbox(address, reply) : toMailbox(place, reply)).catch(outcomeOf)
      return Promise.all(replies.map(send))
    },
  }
}
