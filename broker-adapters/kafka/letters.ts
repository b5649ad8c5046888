import { randomUUID } from 'node:crypto'
import { nextGeneration } from '../../protocol/replay.ts'
import type { BrokerAdapter, LetterFilter, StoredDeadLetter } from '../adapter.ts'
import { fitsLetter } from '../letter-filter.ts'
import type { Session } from './dial.ts'
import { noteRecord, readLetter, readLetterNote, type LetterNote } from './letter-records.ts'
import { readAll } from './read-all.ts'
import type { Storing } from './storing.ts'
import { ensureTopics, type Topics, type WorkQueue } from './topics.ts'
import type { StoredRecord } from './wire.ts'
import { protocolError } from './places.ts'

interface Open {
  readonly session: Session
  readonly storing: Storing
}

interface LettersOptions {
  readonly queue: WorkQueue
  readonly topics: Topics
  /** Asks the server, in errors of ours. */
  readonly ask: <T>(work: (open: Open) => Promise<T>) => Promise<T>
  readonly now: () => number
}

/** What has become of the letters of a queue, read from their topic as far as it goes. */
interface Ledger {
  /** The last letter of each id that is still there. */
  readonly live: Map<string, number>
  /** Of letters that somebody is about to take: who, and when that was said. */
  readonly claims: Map<number, { readonly by: string; readonly at: number }>
  /** Those that somebody has taken, by whom first. */
  readonly gone: Map<number, string>
}

/** Whoever has said that it takes a letter and has not done it after so long does no more. */
const CLAIM_MS = 30_000
const AT_ONCE = 100

export function lettersOf({ queue, topics, ask, now }: LettersOptions): ReturnType<BrokerAdapter['deadLetters']> {
  const place = { topic: queue.dead, partition: 0 }

  /** Undefined: there has been no letter yet. */
  async function readLedger({ session }: Open): Promise<Ledger | undefined> {
    if ((await session.main.topic(queue.dead)) === undefined) return undefined
    return ledgerOf(readAll(session.main, place))
  }

  async function* fitting(
    filter: LetterFilter,
  ): AsyncGenerator<StoredDeadLetter & { offset: number }, void, undefined> {
    const ledger = await ask(readLedger)
    if (ledger === undefined || ledger.live.size === 0) return
    const live = new Set(ledger.live.values())
    const from = Math.min(...live)
    const records = await ask(({ session }) => Promise.resolve(readAll(session.main, place, { from })))
    for (;;) {
      const { value: record } = await ask(() => records.next())
      if (record === undefined) return
      if (!live.has(record.offset)) continue
      const letter = readLetter(record)
      if (fitsLetter(letter, filter, now())) yield { ...letter, offset: record.offset }
    }
  }

  /** A piece at a time, each with what tells ours from what others do at the same time. */
  async function takeEach(
    filter: LetterFilter,
    take: (letters: readonly (StoredDeadLetter & { offset: number })[], by: string) => Promise<number>,
  ): Promise<number> {
    let count = 0
    let piece: (StoredDeadLetter & { offset: number })[] = []
    for await (const letter of fitting(filter)) {
      if (piece.push(letter) < AT_ONCE) continue
      count += await take(piece, randomUUID())
      piece = []
    }
    if (piece.length > 0) count += await take(piece, randomUUID())
    await ask(tidyUp)
    return count
  }

  async function note({ session }: Open, written: LetterNote): Promise<void> {
    await ensureTopics(session.main, [topics.dead(queue)])
    const appended = await session.producer.append(place, noteRecord(written))
    if (appended.status !== 'stored') throw protocolError(appended.error, `writing to ${queue.dead}`)
  }

  /** Where nothing is left the server may forget it all. */
  async function tidyUp(open: Open): Promise<void> {
    if ((await open.session.main.topic(queue.dead)) === undefined) return
    // Asked first: a letter that comes while the others are read stays.
    const [end = 0] = await open.session.main.offsets([place], 'latest')
    const ledger = await readLedger(open)
    if (ledger === undefined || ledger.live.size > 0 || ledger.gone.size === 0) return
    await open.session.main.deleteRecords([{ ...place, offset: end }])
  }

  return {
    async *list(filter = {}) {
      for await (const { offset: _, ...letter } of fitting(filter)) yield letter
    },
    /** Said to be taken, stored in the queue, said to be gone: whoever dies in between leaves it to be replayed once more. */
    replay: (filter) =>
      takeEach(filter, (letters, by) =>
        ask(async (open) => {
          await note(open, { kind: 'claim', by, offsets: letters.map(({ offset }) => offset) })
          const ledger = await readLedger(open)
          const mine = letters.filter(({ offset }) => ledger?.claims.get(offset)?.by === by)
          const outcomes = await open.storing.storeAll(
            queue,
            mine.map(({ message }) => nextGeneration(message)),
          )
          const stored = mine.filter((_, index) => outcomes[index]?.status === 'stored')
          await note(open, { kind: 'gone', by, offsets: stored.map(({ offset }) => offset) })
          const failed = outcomes.find(({ status }) => status !== 'stored')
          if (failed !== undefined) throw protocolError(failed.status, failed.reason ?? 'a letter was not replayed')
          return stored.length
        }),
      ),
    purge: (filter) =>
      takeEach(filter, (letters, by) =>
        ask(async (open) => {
          await note(open, { kind: 'gone', by, offsets: letters.map(({ offset }) => offset) })
          const ledger = await readLedger(open)
          return letters.filter(({ offset }) => ledger?.gone.get(offset) === by).length
        }),
      ),
  }
}

/** How many letters there are, one per id. */
export async function countLetters(session: Session, queue: WorkQueue): Promise<number> {
  if ((await session.main.topic(queue.dead)) === undefined) return 0
  const { live } = await ledgerOf(readAll(session.main, { topic: queue.dead, partition: 0 }))
  return live.size
}

async function ledgerOf(records: AsyncIterable<StoredRecord>): Promise<Ledger> {
  const ledger: Ledger = { live: new Map(), claims: new Map(), gone: new Map() }
  const ids = new Map<number, string>()
  for await (const record of records) {
    const written = readLetterNote(record)
    if (written === undefined) {
      const { id } = readLetter(record).message
      // What has no id is not the same as another one that has none.
      const name = id === '' ? `#${record.offset}` : id
      ids.set(record.offset, name)
      ledger.live.set(name, record.offset)
    } else
      for (const offset of written.offsets) {
        if (written.kind === 'claim') claim(ledger, offset, { by: written.by, at: record.timestamp })
        else take(ledger, offset, { by: written.by, id: ids.get(offset) })
      }
  }
  return ledger
}

function claim({ claims, gone }: Ledger, offset: number, one: { readonly by: string; readonly at: number }): void {
  const other = claims.get(offset)
  if (gone.has(offset) || (other !== undefined && one.at - other.at < CLAIM_MS)) return
  claims.set(offset, one)
}

function take(
  { live, gone }: Ledger,
  offset: number,
  { by, id }: { readonly by: string; readonly id: string | undefined },
): void {
  if (gone.has(offset)) return
  gone.set(offset, by)
  if (id !== undefined && live.get(id) === offset) live.delete(id)
}
