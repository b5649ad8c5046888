import type { Inbox } from '../adapter.ts'
import { BrokerError } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/message.ts'
import type { Ask } from './ask.ts'
import { readReplyBytes } from './envelope.ts'
import type { Link } from './link.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { OP, type FrameReader, type FrameWriter } from './wire.ts'

/** The inboxes of one process. */
export interface ReplyInboxes {
  open(
    address: string,
    options: { readonly leaseMs: number; readonly onRecreated: () => void },
    onReply: (reply: Reply, done: () => void) => void,
  ): Promise<Inbox>
  onReplied(fields: FrameReader): void
  /** Writes which replies were taken in this turn. */
  writeCollected(writer: FrameWriter): void
}

interface Opened {
  readonly onReply: (reply: Reply, done: () => void) => void
}

export function createReplyInboxes(options: {
  readonly link: Link
  readonly ask: Ask
  readonly standings: StandingSet
  readonly guard: (what: string, run: () => void) => void
}): ReplyInboxes {
  const { link, ask, standings, guard } = options
  const opened = new Map<number, Opened>()
  let taken: number[] = []
  let last = 0

  return {
    async open(address, { leaseMs, onRecreated }, onReply) {
      const number = ++last
      let wasOpen = false
      opened.set(number, { onReply })
      const standing: Standing = {
        async establish() {
          const isNew = await ask(
            OP.OPEN_INBOX,
            (writer) => writer.u32(number).str(address).num(leaseMs),
            (fields) => fields.u8() === 1,
          )
          if (isNew && wasOpen) guard('onRecreated', onRecreated)
          wasOpen = true
        },
      }
      await standings.add(standing)
      return {
        address,
        async close() {
          if (!opened.delete(number)) return
          standings.remove(standing)
          try {
            await ask(
              OP.CLOSE_INBOX,
              (writer) => writer.str(address),
              () => undefined,
            )
          } catch (error) {
            // Away: its lease ends it.
            if (!(error instanceof BrokerError)) throw error
          }
        },
      }
    },
    onReplied(fields) {
      const inbox = opened.get(fields.u32())
      const sequence = fields.num()
      const reply = readReplyBytes(fields.str(), fields)
      if (inbox === undefined) return
      const done = (): void => {
        taken.push(sequence)
        link.flushLater()
      }
      guard('onReply', () => inbox.onReply(reply, done))
    },
    writeCollected(writer) {
      if (taken.length === 0) return
      writer.begin(OP.TAKEN).u32(taken.length)
      for (const sequence of taken) writer.num(sequence)
      writer.end()
      taken = []
    },
  }
}
