import type { ConsumeMessage } from 'amqplib'
import { nextGeneration } from '../../protocol/replay.ts'
import type { BrokerAdapter, LetterFilter, StoredDeadLetter } from '../adapter.ts'
import { fitsLetter } from '../letter-filter.ts'
import type { Session } from './dial.ts'
import { readLetters, type LetterReading } from './letter-reading.ts'
import { groupLetters } from './read-letter.ts'
import type { Storing } from './storing.ts'
import type { WorkQueue } from './topology.ts'

interface Open {
  readonly session: Session
  readonly storing: Storing
}

interface LettersOptions {
  readonly queue: WorkQueue
  /** Asks the server, in errors of ours. */
  readonly ask: <T>(work: (open: Open) => Promise<T>) => Promise<T>
  readonly now: () => number
}

/**
 * The dead letters of one queue. An id that lies there more than once counts as its last one; where they do not fit into the
 * window of a reading (letter-reading.ts), as the last one in the window where it comes first.
 */
export function lettersOf({ queue, ask, now }: LettersOptions): ReturnType<BrokerAdapter['deadLetters']> {
  /** Acks what `settle` is done with; how many ids. */
  async function settleFitting(
    open: Open,
    filter: LetterFilter,
    settle: (letter: StoredDeadLetter) => Promise<boolean>,
  ): Promise<number> {
    const done = new Set<unknown>()
    const settleOne = async (letter: StoredDeadLetter, raws: readonly ConsumeMessage[]): Promise<void> => {
      const key = letter.message.id === '' ? letter : letter.message.id
      if (!fitsLetter(letter, filter, now())) return
      if (!done.has(key) && !(await settle(letter))) return
      done.add(key)
      for (const raw of raws) reading.ack(raw)
    }
    const reading = await readLetters(open.session, queue)
    try {
      for (let isLast = false; !isLast;) {
        const window = await reading.next()
        ;({ isLast } = window)
        await Promise.all(groupLetters(window.raws).map(({ letter, raws }) => settleOne(letter, raws)))
      }
    } finally {
      await reading.close()
    }
    return done.size
  }

  return {
    list: (filter = {}) => listLetters({ queue, ask, now }, filter),
    replay: (filter) =>
      ask((open) =>
        // A crash between the two leaves the letter beside its message: run twice at worst, never lost.
        settleFitting(open, filter, async ({ message }) => {
          const { status } = await open.storing.store(queue, nextGeneration(message))
          return status === 'stored'
        }),
      ),
    purge: (filter) => ask((open) => settleFitting(open, filter, () => Promise.resolve(true))),
  }
}

/** What fits into one window lies in its place again before the first one is given: a slow reader hides nothing from others. */
async function* listLetters(
  { queue, ask, now }: LettersOptions,
  filter: LetterFilter,
): AsyncGenerator<StoredDeadLetter, void, undefined> {
  const seen = new Set<string>()
  let reading: LetterReading | undefined = await ask(({ session }) => readLetters(session, queue))
  try {
    while (reading !== undefined) {
      const current: LetterReading = reading
      const { raws, isLast } = await ask(() => current.next())
      if (isLast) {
        reading = undefined
        await current.close()
      }
      for (const { letter } of groupLetters(raws)) {
        const { id } = letter.message
        if (seen.has(id)) continue
        if (id !== '') seen.add(id)
        if (fitsLetter(letter, filter, now())) yield letter
      }
    }
  } finally {
    await reading?.close()
  }
}
