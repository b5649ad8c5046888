import type { QueueRef } from '../../protocol/message.ts'
import type { LetterFilter, StoredDeadLetter } from '../adapter.ts'
import type { Ask } from './ask.ts'
import { readMessageBytes } from './envelope.ts'
import { OP, type FrameReader } from './wire.ts'

/** The dead letters of one queue, read page by page. */
export async function* listLetters(ask: Ask, queue: string, filter: LetterFilter): AsyncGenerator<StoredDeadLetter> {
  const json = JSON.stringify(filter)
  let after = 0
  do {
    const from = after
    const page = await ask(OP.LETTERS, (writer) => writer.str(queue).str(json).num(from), readPage)
    yield* page.letters
    after = page.next
  } while (after !== 0)
}

export function purgeLetters(ask: Ask, queue: string, filter: LetterFilter): Promise<number> {
  const json = JSON.stringify(filter)
  return ask(
    OP.PURGE_LETTERS,
    (writer) => writer.str(queue).str(json),
    (fields) => fields.u32(),
  )
}

/** How many go back to the queue. */
export function replayLetters(
  ask: Ask,
  queue: { readonly name: string; readonly features: QueueRef['features'] },
  filter: LetterFilter,
): Promise<number> {
  const { name, features } = queue
  const json = JSON.stringify(filter)
  return ask(
    OP.REPLAY_LETTERS,
    (writer) =>
      writer
        .str(name)
        .u8(features.keyed ? 1 : 0)
        .u8(features.priority ? 1 : 0)
        .str(json),
    (fields) => fields.u32(),
  )
}

function readPage(fields: FrameReader): { readonly letters: readonly StoredDeadLetter[]; readonly next: number } {
  const letters: StoredDeadLetter[] = []
  const count = fields.u32()
  for (let index = 0; index < count; index++) {
    const id = fields.str()
    const facts = { at: fields.num(), code: fields.str(), reason: fields.str(), attempts: fields.u32() }
    letters.push({ ...facts, message: readMessageBytes(id, fields) })
  }
  return { letters, next: fields.num() }
}
