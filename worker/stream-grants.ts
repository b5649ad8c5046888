import type { BrokerAdapter, Inbox } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { messageOf } from '../protocol/errors.ts'
import { HEADER, integerHeader } from '../protocol/headers.ts'
import type { Reply } from '../protocol/message.ts'

/** The worker's own inbox, where the readers of its streams tell how much they have read. */
export interface StreamGrants {
  /** Of the inbox; undefined until it is open. */
  readonly address: string | undefined
  /** Rejects like the adapter's `openInbox`. */
  open(): Promise<void>
  /** `onGrant` hears how many chunks of this run have been taken so far, whenever it is said. Returns what ends that. */
  listen(run: string, onGrant: (taken: number) => void): () => void
  /** Never rejects. */
  close(): Promise<void>
}

/** A grant is said again within a second: what waits for longer tells nothing. */
const LEASE_MS = 60_000

export function createStreamGrants(adapter: BrokerAdapter, core: BrokerCore): StreamGrants {
  const listeners = new Map<string, (taken: number) => void>()
  let inbox: Inbox | undefined

  return {
    get address() {
      return inbox?.address
    },
    async open() {
      inbox = await adapter.openInbox({ leaseMs: LEASE_MS, onRecreated: () => {} }, receive)
    },
    listen(run, onGrant) {
      listeners.set(run, onGrant)
      return () => listeners.delete(run)
    },
    async close() {
      try {
        await inbox?.close()
      } catch (error) {
        core.log('debug', 'INBOX', `the inbox for grants was not closed, its lease ends it: ${messageOf(error)}`)
      }
    },
  }

  function receive(reply: Reply, done: () => void): void {
    const taken = integerHeader(reply.headers, HEADER.sequence)
    if (reply.type === 'grant' && taken !== undefined) listeners.get(reply.headers[HEADER.run] ?? '')?.(taken)
    done()
  }
}
