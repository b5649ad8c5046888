import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { AdapterContext, PublishOutcome, ReplyOutcome } from '../adapter.ts'
import type { Broadcasts } from './broadcasts.ts'
import { declareQueue } from './channels.ts'
import type { Session } from './dial.ts'
import { parseMailboxAddress, type MailboxPlace } from '../mailbox-address.ts'
import { keptProperties } from './mailbox-queue.ts'
import { replyProperties } from './properties.ts'
import type { Publisher } from './publisher.ts'
import { keptShape, MAX_KEEP_MS } from './topology.ts'

/** Replies of one session, to inboxes and mailboxes. */
export interface Replying {
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
}

interface ReplyingParts {
  readonly session: Session
  readonly publisher: Publisher
  readonly broadcasts: Pick<Broadcasts, 'send'>
  readonly context: Pick<AdapterContext, 'namespace' | 'log'>
  /** It came after another one. */
  readonly isReconnect: boolean
}

/** After a reconnect clients that are alive may have to make their inboxes again: until then none counts as gone. */
const RETURN_MS = 2_000

export function createReplying({ session, publisher, broadcasts, context, isReconnect }: ReplyingParts): Replying {
  const trustedFrom = isReconnect ? performance.now() + RETURN_MS : 0

  async function toInbox(address: string, reply: Reply): Promise<ReplyOutcome> {
    const { status } = await publisher.publish({ key: address }, reply.body, replyProperties(reply))
    if (status === 'stored' || status === 'tooLarge') return status
    return status === 'unroutable' && performance.now() >= trustedFrom ? 'gone' : 'unknown'
  }

  /** Who reads now hears of an outcome when it is kept, and of the rest at once. */
  async function toMailbox(place: MailboxPlace, reply: Reply): Promise<ReplyOutcome> {
    const kept = isFinalReply(reply.type) ? (await keep(place, reply)).status : 'stored'
    if (kept === 'tooLarge') return 'tooLarge'
    if (kept !== 'stored') return 'unknown'
    broadcasts.send(place.topic, reply.body, { ...replyProperties(reply), deliveryMode: 1, mandatory: false })
    return 'stored'
  }

  /** To declare it makes it anew, or puts off its end: what is put into it does not. */
  async function keep(place: MailboxPlace, reply: Reply): Promise<PublishOutcome> {
    const properties = { ...replyProperties(reply), ...keptProperties(place) }
    try {
      await declareQueue(session, keptShape(place.name, place.keepMs), context.log)
    } catch (error) {
      return { status: 'notSent', reason: String(error) }
    }
    return publisher.publish({ key: place.name }, reply.body, properties)
  }

  return {
    async reply(address, replies) {
      if (address === '' || Buffer.byteLength(address) > MAX_NAME_BYTES) return replies.map(() => 'gone')
      const place = parseMailboxAddress(context.namespace, address, MAX_KEEP_MS)
      const send = (reply: Reply): Promise<ReplyOutcome> =>
        place === undefined ? toInbox(address, reply) : toMailbox(place, reply)
      return Promise.all(replies.map(send))
    },
  }
}

/** Of an AMQP short string, as which names of queues are sent. */
const MAX_NAME_BYTES = 255
