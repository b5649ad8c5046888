import { HEADER, integerHeader } from '../protocol/headers.ts'
import type { Reply } from '../protocol/message.ts'

/** The replies of one run of a stream, in whatever order they come: its chunks, and the one that ends it. */
export interface ChunkOrder {
  /** What comes twice changes nothing. */
  add(chunk: Reply): void
  /** It says how many chunks there are. */
  addFinal(reply: Reply): void
  /** The next chunk, if it has come. */
  take(): Reply | undefined
  /** What ends the run, once, when all the chunks before it have come. */
  takeFinal(): Reply | undefined
  /** Nobody reads what has come and was not taken. */
  drop(): void
  /** `take` would give one. */
  readonly hasNext: boolean
  /** The number of the chunk that others have overtaken; undefined: none is missing. */
  readonly missing: number | undefined
}

/** The number of a chunk, counted from 0; of what ends a run, how many chunks it had. */
export function sequenceOf(reply: Reply): number {
  return integerHeader(reply.headers, HEADER.sequence) ?? 0
}

export function createChunkOrder(): ChunkOrder {
  /** Those that came before one that is missing. */
  const early = new Map<number, Reply>()
  let ready: Reply[] = []
  /** Of the first that has not come. */
  let next = 0
  let final: Reply | undefined

  return {
    add(chunk) {
      const sequence = sequenceOf(chunk)
      if (sequence < next) return
      early.set(sequence, chunk)
      for (let found = early.get(next); found !== undefined; found = early.get(next)) {
        early.delete(next++)
        ready.push(found)
      }
    },
    addFinal(reply) {
      final = reply
    },
    take: () => ready.shift(),
    takeFinal() {
      if (final === undefined || next < sequenceOf(final)) return undefined
      const last = final
      final = undefined
      return last
    },
    drop() {
      ready = []
    },
    get hasNext() {
      return ready.length > 0
    },
    get missing() {
      return early.size === 0 ? undefined : next
    },
  }
}
