import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { Mailbox } from '../adapter.ts'
import type { Ask } from './ask.ts'
import { readReplyBytes } from './envelope.ts'
import type { Link } from './link.ts'
import { mailboxAddress } from './mailbox-records.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { OP, type FrameReader } from './wire.ts'

/** The mailboxes that one process reads. */
export interface Mailboxes {
  open(name: string, createForMs: number | undefined, onReply: (reply: Reply) => void): Promise<Mailbox>
  onMailed(fields: FrameReader): void
}

interface Reader {
  readonly onReply: (reply: Reply) => void
  /** The generation of the outcome that it got; -1: none. After a reconnect the hub sends the outcome again. */
  replay: number
}

export function createMailboxes(options: {
  readonly link: Link
  readonly ask: Ask
  readonly standings: StandingSet
  readonly session: string
  readonly guard: (what: string, run: () => void) => void
}): Mailboxes {
  const { link, ask, standings, session, guard } = options
  const readers = new Map<number, Reader>()
  let last = 0

  return {
    async open(name, createForMs, onReply) {
      const number = ++last
      let found: { readonly isFound: boolean; readonly keepMs: number } | undefined
      readers.set(number, { onReply, replay: -1 })
      const standing: Standing = {
        async establish() {
          const isReading = found !== undefined
          const answer = await ask(
            OP.OPEN_MAILBOX,
            (writer) => {
              writer.u32(number).str(name).str(`${session}/${number}`)
              writer.num(isReading ? -1 : (createForMs ?? -1)).u8(isReading ? 1 : 0)
            },
            (fields) => ({ isFound: fields.u8() === 1, keepMs: fields.num() }),
          )
          found ??= answer
        },
      }
      await standings.add(standing)
      const { isFound, keepMs } = found ?? { isFound: false, keepMs: -1 }
      const leave = (): boolean => {
        standings.remove(standing)
        return readers.delete(number)
      }
      if (keepMs < 0) {
        leave()
        return { address: '', isFound, close: () => Promise.resolve() }
      }
      return {
        address: mailboxAddress(name, keepMs),
        isFound,
        close() {
          // While it is away there is nobody to tell: the next hub is not asked for it.
          if (leave() && link.isConnected) {
            link.writer.begin(OP.CLOSE_MAILBOX).u32(number).end()
            link.flushSoon()
          }
          return Promise.resolve()
        },
      }
    },
    onMailed(fields) {
      const reader = readers.get(fields.u32())
      const reply = readReplyBytes(fields.str(), fields)
      if (reader === undefined) return
      if (isFinalReply(reply.type)) {
        const replay = replayOf(reply.headers)
        if (replay <= reader.replay) return
        reader.replay = replay
      }
      guard('onReply', () => reader.onReply(reply))
    },
  }
}
