import type { LetterFilter } from '../adapter.ts'
import type { GroupCommit } from './group-commit.ts'
import type { HubConnection } from './hub-connection.ts'
import type { Handlers, HandlerTools } from './hub-handlers.ts'
import type { HubLetters } from './hub-letters.ts'
import type { HubMessages } from './hub-messages.ts'
import { blobOfMessage } from './records.ts'
import { OP, type FrameReader } from './wire.ts'

/** What processes ask about dead letters. */
export function letterHandlers(options: {
  readonly commit: GroupCommit
  readonly messages: HubMessages
  readonly letters: HubLetters
  readonly now: () => number
  readonly markWritten: (connection: HubConnection) => void
  readonly tools: HandlerTools
}): Handlers {
  const { commit, messages, letters, now, markWritten } = options
  const { answer, queueOf, ensureQueue } = options.tools

  function deadLetter(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const entry = messages.heldBy(connection, fields.num(), fields.u32())
    const why = { code: fields.str(), reason: fields.str(), attempts: fields.u32() }
    const record = entry === undefined ? undefined : messages.record(entry)
    if (entry === undefined || record === undefined) return answer(connection, seq)
    letters.add(entry.queue, { queue: entry.queue.number, id: entry.id, at: now(), ...why }, blobOfMessage(record))
    messages.settle(entry, 'soon')
    commit.afterwards(() => answer(connection, seq))
  }
  function park(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = ensureQueue(fields.name())
    const letter = {
      queue: queue.number,
      id: fields.name(),
      at: now(),
      code: fields.str(),
      reason: fields.str(),
      attempts: fields.u32(),
    }
    letters.add(queue, letter, fields.view())
    commit.afterwards(() => answer(connection, seq))
  }
  function list(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    const filter = parseFilter(fields.str())
    const after = fields.num()
    const writer = connection.writer.begin(OP.ANSWER).u32(seq)
    if (queue === undefined) writer.u32(0).num(0)
    else letters.writePage(writer, queue, filter, after)
    writer.end()
    markWritten(connection)
  }
  function purge(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    const filter = parseFilter(fields.str())
    const purged = queue === undefined ? 0 : letters.purge(queue, filter)
    commit.afterwards(() => answer(connection, seq, purged))
  }
  function replay(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    const features = { keyed: fields.u8() === 1, priority: fields.u8() === 1 }
    const filter = parseFilter(fields.str())
    if (queue === undefined) return answer(connection, seq, 0)
    letters.replay(queue, { filter, features, onDone: (count) => answer(connection, seq, count) })
  }

  return [
    [OP.DEAD_LETTER, deadLetter],
    [OP.PARK, park],
    [OP.LETTERS, list],
    [OP.PURGE_LETTERS, purge],
    [OP.REPLAY_LETTERS, replay],
  ]
}

/** Throws SyntaxError or RangeError for what is none. */
function parseFilter(json: string): LetterFilter {
  const filter: unknown = JSON.parse(json)
  if (typeof filter !== 'object' || filter === null) throw new RangeError('a filter that is no object')
  return filter // its fields are only compared
}
