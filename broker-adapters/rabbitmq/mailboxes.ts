import type { Reply } from '../../protocol/message.ts'
import type { Mailbox } from '../adapter.ts'
import { MAX_TTL_MS } from './topology.ts'

export const MAX_KEEP_MS = MAX_TTL_MS

export interface Mailboxes {
  open(callId: string, createForMs: number | undefined, onReply: (reply: Reply) => void): Promise<Mailbox>
}

export function createMailboxes(_parts: object): Mailboxes {
  return {
    open: () => Promise.reject(new Error('not yet')),
  }
}
