import { attemptOf } from '../../protocol/headers.ts'
import { generationKey, nextGeneration } from '../../protocol/replay.ts'
import type { BrokerAdapter, LetterFilter, StoredDeadLetter } from '../adapter.ts'
import { fitsLetter } from '../letter-filter.ts'
import type { Session } from './dial.ts'
import { readJob } from './job-data.ts'
import { letterId, type WorkQueue } from './keys.ts'
import { addScript } from './scripts.ts'
import { addTo, jobOf, keyOf, transact } from './storing.ts'

interface LettersOptions {
  readonly queue: WorkQueue
  /** Asks the server, in errors of ours. */
  readonly ask: <T>(work: (session: Session) => Promise<T>) => Promise<T>
  readonly now: () => number
}

interface Letter extends StoredDeadLetter {
  readonly jobId: string
}

const PAGE = 100

/** The failed jobs of a queue: those that workers gave up, and what BullMQ or a person has put there. */
export function lettersOf({ queue, ask, now }: LettersOptions): ReturnType<BrokerAdapter['deadLetters']> {
  async function* fitting(filter: LetterFilter): AsyncGenerator<Letter, void, undefined> {
    const ids =
      filter.id === undefined
        ? await ask(({ commands }) => commands.zrange(queue.key('failed'), 0, -1))
        : [letterId(filter.id), filter.id]
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = ids.slice(at, at + PAGE)
      const letters = await ask((session) => Promise.all(page.map((id) => readLetter(session, id))))
      for (const letter of letters) if (letter !== undefined && fitsLetter(letter, filter, now())) yield letter
    }
  }

  async function readLetter({ commands }: Session, jobId: string): Promise<Letter | undefined> {
    const key = queue.key(jobId)
    const fields = ['name', 'data', 'failedReason', 'finishedOn'] as const
    const [[name, data, failedReason, finishedOn], score] = await Promise.all([
      commands.hmget(key, ...fields),
      commands.zscore(queue.key('failed'), jobId),
    ])
    if (score === null) return undefined
    const { message, dead } = readJob({ id: jobId, name: name ?? '', data: data ?? '' })
    if (dead !== undefined) return { jobId, message, ...dead }
    const reason = `BullMQ has failed it: ${failedReason ?? 'no reason is known'}`
    const at = Number(finishedOn ?? score)
    return { jobId, message, code: 'CRASHED', reason, attempts: attemptOf(message.headers), at }
  }

  /** Not twice what somebody else takes at the same time; how many. */
  async function takeEach(filter: LetterFilter, take: (letter: Letter) => Promise<boolean>): Promise<number> {
    let count = 0
    for await (const letter of fitting(filter)) if (await take(letter)) count++
    return count
  }

  return {
    async *list(filter = {}) {
      for await (const { jobId: _, ...letter } of fitting(filter)) yield letter
    },
    replay: (filter) =>
      takeEach(filter, ({ jobId, message }) =>
        ask(async (session) => {
          const bull = await session.bull(queue)
          const next = nextGeneration(message)
          const answers = await transact(session, bull, (transaction) => {
            addTo(transaction, bull, queue, jobOf(queue, next, now()), keyOf(queue, next))
            addScript(transaction, 'exhume', queue.key(''), jobId, generationKey(next))
          })
          return answers.at(-1) === 1
        }),
      ),
    purge: (filter) =>
      takeEach(filter, ({ jobId }) =>
        ask(async ({ scripts }) => (await scripts.run('exhume', queue.key(''), jobId)) === 1),
      ),
  }
}
