import type { Reply } from '../../protocol/message.ts'
import type { FaultParts } from './faulty-adapter.ts'

export interface FaultyInbox {
  receive(reply: Reply, done: () => void): void
  /** Hands over what was held back: as an inbox does whose lease outlived the connection. */
  letIn(): void
}

export function createFaultyInbox(
  { events, plans, isUp }: FaultParts,
  onReply: (reply: Reply, done: () => void) => void,
): FaultyInbox {
  const held: { readonly reply: Reply; readonly done: () => void }[] = []
  return {
    receive(reply, done) {
      const fault = plans.incoming?.(reply)
      if (fault === 'lose') return done()
      if (fault === 'hold' || !isUp()) return void held.push({ reply, done })
      hand(reply, done)
      if (fault === 'twice') hand(reply, () => {})
    },
    letIn() {
      for (const { reply, done } of held.splice(0)) hand(reply, done)
    },
  }

  function hand(reply: Reply, done: () => void): void {
    events.add({ kind: 'incoming', id: reply.correlationId, detail: reply.type })
    onReply(reply, done)
  }
}
