import { replayOf } from '../../protocol/headers.ts'
import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, PublishOutcome } from '../adapter.ts'
import type { Session } from './dial.ts'
import { replyProperties } from './properties.ts'
import type { Publisher } from './publisher.ts'

type ReplyOutcome = 'stored' | 'gone' | 'unknown'

/** Replies of one session, to inboxes. */
export interface Replying {
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
}

export function createReplying(_session: Session, publisher: Publisher, _parts: Pick<AdapterContext, 'log'>): Replying {
  return {
    async reply(address, replies) {
      if (address === '' || Buffer.byteLength(address) > MAX_NAME_BYTES) return replies.map(() => 'gone')
      const outcomes = await Promise.all(
        replies.map((reply) => publisher.publish({ key: address }, reply.body, replyProperties(reply))),
      )
      return outcomes.map(readOutcome)
    },
  }
}

/** Of an AMQP short string, as which names of queues are sent. */
const MAX_NAME_BYTES = 255

function readOutcome({ status }: PublishOutcome): ReplyOutcome {
  if (status === 'stored') return 'stored'
  return status === 'unroutable' ? 'gone' : 'unknown'
}
void replayOf
