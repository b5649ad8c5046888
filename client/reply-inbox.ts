import type { Inbox } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { isOwnId } from '../protocol/ids.ts'
import type { Reply } from '../protocol/message.ts'
import { messageOf } from '../protocol/errors.ts'
import { within } from '../broker-adapters/within.ts'
import type { CountClient } from './client-counters.ts'
import type { PendingCalls } from './pending-calls.ts'

/** The client's one reply address, opened at its first call. */
export interface ReplyInbox {
  /** Undefined until it is open. */
  readonly address: string | undefined
  /** Shared by whoever asks. Rejects like `core.adapter`. */
  open(): Promise<void>
  close(): Promise<void>
}

export interface ReplyInboxOptions {
  readonly core: BrokerCore
  readonly leaseMs: number
  readonly pending: PendingCalls
  readonly count: CountClient
  readonly onOpen: () => void
}

/** A broker that is away cannot be told; the lease ends the inbox then. */
const CLOSE_MS = 1_000

export function createReplyInbox({ core, leaseMs, pending, count, onOpen }: ReplyInboxOptions): ReplyInbox {
  let inbox: Inbox | undefined
  let opening: Promise<void> | undefined
  let isClosed = false

  return {
    get address() {
      return inbox?.address
    },
    open() {
      opening ??= open().catch((error: unknown) => {
        opening = undefined
        throw error
      })
      return opening
    },
    async close() {
      isClosed = true
      await leave()
    },
  }

  async function open(): Promise<void> {
    const adapter = await core.adapter
    inbox = await adapter.openInbox({ leaseMs, onRecreated }, receive)
    if (isClosed) await leave()
    else onOpen()
  }

  async function leave(): Promise<void> {
    try {
      if (inbox !== undefined) await within(inbox.close(), CLOSE_MS, () => new Error(`not within ${CLOSE_MS} ms`))
    } catch (error) {
      core.log('debug', 'INBOX', `the inbox was not closed, its lease ends it: ${messageOf(error)}`)
    }
  }

  function onRecreated(): void {
    count('inboxesRecreated')
    core.log(
      'warn',
      'INBOX_LOST',
      `the inbox of this client was lost at ${core.url}: answers that waited there may be missing`,
    )
  }

  /** A reply nobody waits for is counted, never thrown; whatever it is, the broker may forget it. */
  function receive(reply: Reply, done: () => void): void {
    const state = pending.get(reply.correlationId)
    if (state?.onReply === undefined) count(isOwn(reply.correlationId) ? 'lateReplies' : 'foreignReplies')
    else state.onReply(isWhole(reply) ? reply : { ...reply, contentType: '', headers: {} })
    done()
  }
}

/** What a stranger answers may be anything, whatever its type says. */
function isOwn(correlationId: unknown): boolean {
  return typeof correlationId === 'string' && isOwnId(correlationId)
}

/** Else it has no content type that is known, and is read as such. */
function isWhole({ contentType, headers }: { readonly contentType: unknown; readonly headers: unknown }): boolean {
  return typeof contentType === 'string' && typeof headers === 'object' && headers !== null
}
