import { replayOf } from '../protocol/headers.ts'
import { isFinalReply, type Reply } from '../protocol/message.ts'

/** What one reader of a mailbox gets: of each generation one outcome, that of the mailbox before what is heard meanwhile. */
export interface MailboxReader {
  hear(reply: Reply): void
  /** The mailbox is being read. */
  wait(): void
  goOn(outcome: Reply | undefined): void
}

export function createMailboxReader(onReply: (reply: Reply) => void): MailboxReader {
  let early: Reply[] | undefined = []
  let replay = -1

  function pass(reply: Reply): void {
    if (isFinalReply(reply.type)) {
      if (replayOf(reply.headers) <= replay) return
      replay = replayOf(reply.headers)
    }
    onReply(reply)
  }
  return {
    hear(reply) {
      if (early === undefined || !isFinalReply(reply.type)) pass(reply)
      else early.push(reply)
    },
    wait() {
      early ??= []
    },
    goOn(outcome) {
      const waiting = early ?? []
      early = undefined
      if (outcome !== undefined) pass(outcome)
      for (const reply of waiting) pass(reply)
    },
  }
}
