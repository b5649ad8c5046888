import { randomUUID } from 'node:crypto'
import { BrokerError, messageOf } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Mailbox } from '../adapter.ts'
import { createMailboxReader } from '../mailbox-reader.ts'
import type { Broadcasts } from './broadcasts.ts'
import { throughSeam } from './channels.ts'
import type { Connected } from './lane.ts'
import { mailboxAddress, mailboxPlace } from '../mailbox-address.ts'
import { lookIntoMailbox, type MailboxContents } from './mailbox-queue.ts'
import { readReply } from './properties.ts'

/** The mailboxes that one process reads. */
export interface Mailboxes {
  open(callId: string, createForMs: number | undefined, onReply: (reply: Reply) => void): Promise<Mailbox>
}

interface MailboxesParts {
  readonly context: Pick<AdapterContext, 'namespace' | 'log'>
  readonly broadcasts: Broadcasts
  /** Throws BROKER_UNAVAILABLE while there is none. */
  readonly open: () => Connected
  readonly url: string
  readonly guard: (what: string, run: () => void) => void
}

const AGAIN_MS = 200

export function createMailboxes({ context, broadcasts, open, url, guard }: MailboxesParts): Mailboxes {
  const { namespace, log } = context

  /** Tries again while the same session lasts; with the next one everything is put in place anew. */
  async function look(
    name: string,
    options: Parameters<typeof lookIntoMailbox>[2],
  ): Promise<MailboxContents | undefined> {
    const connected = open()
    for (;;) {
      try {
        return await throughSeam(url, () => lookIntoMailbox(connected, name, options))
      } catch (error) {
        if (!connected.session.isOpen || (error instanceof BrokerError && error.code === 'BROKER_REFUSED')) throw error
        log('warn', 'RABBITMQ_MAILBOX', `the mailbox ${name} is looked into again: ${messageOf(error)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  return {
    async open(callId, createForMs, onReply) {
      const { name, topic } = mailboxPlace(namespace, callId, 0)
      const reader = createMailboxReader((reply) => guard('onReply', () => onReply(reply)))
      const maker = createForMs === undefined ? undefined : { keepMs: Math.ceil(createForMs), token: randomUUID() }
      let found: { readonly contents: MailboxContents | undefined } | undefined
      const leave = await broadcasts.listenFor(topic, {
        onMessage(raw) {
          const reply = readReply(raw)
          if (reply !== undefined) reader.hear(reply)
        },
        async onBound() {
          reader.wait()
          // It is made once: a reader outlives its mailbox, and makes no other.
          const contents = await look(name, { maker: found === undefined ? maker : undefined, log })
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
