import { randomUUID } from 'node:crypto'
import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Mailbox } from '../adapter.ts'
import { mailboxAddress, mailboxPlace } from '../mailbox-address.ts'
import { createMailboxReader } from '../mailbox-reader.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { readReply, unpackReply } from './reply-data.ts'
import type { Broadcasts } from './subscriber.ts'

/** A year. */
export const MAX_KEEP_MS = 31_536_000_000

/** The mailboxes that one process reads. */
export interface Mailboxes {
  open(callId: string, createForMs: number | undefined, onReply: (reply: Reply) => void): Promise<Mailbox>
}

interface MailboxesParts {
  readonly context: Pick<AdapterContext, 'namespace'>
  readonly broadcasts: Broadcasts
  readonly session: () => Session
  readonly url: string
  readonly guard: (what: string, run: () => void) => void
}

interface Contents {
  readonly isOwn: boolean
  readonly keepMs: number
  readonly outcome: Reply | undefined
}

export function createMailboxes({ context, broadcasts, session, url, guard }: MailboxesParts): Mailboxes {
  async function look(key: string, token: string, createForMs: number): Promise<Contents | undefined> {
    const answer = await throughSeam(url, () => session().scripts.runForBytes('mailbox', key, token, createForMs))
    if (!Array.isArray(answer)) return undefined
    const [maker, keepMs, meta, body] = answer as readonly (Buffer | null)[] // of the four fields that are asked for
    return {
      isOwn: maker?.toString() === token,
      keepMs: Number(keepMs?.toString() ?? 0),
      outcome: meta === null || meta === undefined ? undefined : readReply(meta, body ?? Buffer.alloc(0)),
    }
  }

  return {
    async open(callId, createForMs, onReply) {
      const { name, topic } = mailboxPlace(context.namespace, callId, 0)
      const token = randomUUID()
      const reader = createMailboxReader((reply) => guard('onReply', () => onReply(reply)))
      let found: { readonly contents: Contents | undefined } | undefined
      const leave = await broadcasts.listen(topic, {
        onMessage(packed) {
          const reply = unpackReply(packed)
          if (reply !== undefined) reader.hear(reply)
        },
        async onBound() {
          reader.wait()
          // It is made once: a reader outlives its mailbox, and makes no other.
          const contents = await look(name, token, found === undefined ? Math.ceil(createForMs ?? 0) : 0)
          found ??= { contents }
          reader.goOn(contents?.outcome)
        },
      })
      const contents = found?.contents
      if (contents === undefined) leave()
      return {
        address: contents === undefined ? '' : mailboxAddress({ name, keepMs: contents.keepMs }),
        isFound: contents !== undefined && !contents.isOwn,
        close() {
          leave()
          return Promise.resolve()
        },
      }
    },
  }
}
