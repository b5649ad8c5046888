import type { MinimalJob } from 'bullmq'
import type { Message } from '../../protocol/message.ts'
import type { AdapterContext, DeadLetterReason, Delivery } from '../adapter.ts'
import type { Bull, Session } from './dial.ts'
import { shortOf } from './failures.ts'
import { writeData } from './job-data.ts'
import type { WorkQueue } from './keys.ts'
import { addScript } from './scripts.ts'
import { keyOf, KEEP_COMPLETED, letterArguments, transact } from './storing.ts'
import type { TakenJob } from './taking.ts'

/** A job that was taken: nobody else can have it while the token is in its lock. */
export interface Lock {
  readonly queue: WorkQueue
  readonly job: TakenJob
  /** Which of its consumer's it is, from 1. */
  readonly number: number
  /** It ran out, or somebody else has the job. */
  isGone: boolean
  onGone?: () => void
}

/** What becomes of a job that is held. All resolve when it is done, or the lock is gone, or the adapter stops; none rejects. */
export interface Settling {
  finish(lock: Lock, message: Message): Promise<void>
  giveBack(lock: Lock): Promise<void>
  /** It came and nobody has seen it: this was no hand-over. */
  untake(lock: Lock): Promise<void>
  retry(lock: Lock, message: Message, options: Parameters<Delivery['retry']>[0]): Promise<void>
  bury(lock: Lock, message: Message, why: DeadLetterReason): Promise<void>
}

interface SettlingParts {
  /** Throws while there is none. */
  readonly session: () => Session
  readonly isStopped: () => boolean
  readonly context: Pick<AdapterContext, 'now' | 'log'>
}

const AGAIN_MS = 200

export function createSettling({ session, isStopped, context }: SettlingParts): Settling {
  /** As often as it takes. `work` says false if the lock was not there any more. */
  async function carry(
    lock: Lock,
    what: string,
    work: (session: Session, bull: Bull) => Promise<boolean>,
  ): Promise<void> {
    for (let tries = 0; !lock.isGone; tries++) {
      let now: Session | undefined
      try {
        now = session()
        const isHeld = await work(now, await now.bull(lock.queue))
        if (!isHeld) goneNow(lock)
        return
      } catch (error) {
        if (isStopped()) return
        now?.note(error)
        if (tries === MANY)
          context.log('warn', 'REDIS_SETTLE', `${what} of ${lock.job.id} is still tried: ${shortOf(error)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  function goneNow(lock: Lock): void {
    if (lock.isGone) return
    lock.isGone = true
    lock.onGone?.()
  }

  /** Completed, and the turn of its key goes on. */
  async function complete(now: Session, bull: Bull, { queue, job }: Lock, message: Message): Promise<boolean> {
    const { backend, client } = bull
    const minimal = { id: job.id, opts: NO_OPTIONS } as MinimalJob // all that is read of it
    const finished = backend.moveToCompletedArgs(minimal, 1, KEEP_COMPLETED, job.token, false)
    const key = keyOf(queue, message)
    if (key === undefined) return isDone(await backend.execCommand(client, 'moveToFinished', finished))
    const [code] = await transact(now, bull, (transaction) => {
      backend.execCommand(transaction, 'moveToFinished', finished)
      addScript(transaction, 'pass', queue.key(''), job.id, key)
    })
    return isDone(code)
  }

  async function putBack({ commands }: Session, { backend }: Bull, { queue, job }: Lock): Promise<boolean> {
    const isDone = await held(backend.moveJobFromActiveToWait(job.id, job.token))
    // BullMQ 6.7 wakes nobody for a job with a priority.
    if (queue.hasPriority) await commands.zadd(queue.key('marker'), 0, '0')
    return isDone
  }

  return {
    finish: (lock, message) => carry(lock, 'the end', (now, bull) => complete(now, bull, lock, message)),
    giveBack: (lock) => carry(lock, 'the release', (now, bull) => putBack(now, bull, lock)),
    untake: (lock) =>
      carry(lock, 'the release', async (now, bull) => {
        const counted = now.commands.hincrby(lock.queue.key(lock.job.id), 'ats', -1)
        const [, isDone] = await Promise.all([counted, putBack(now, bull, lock)])
        return isDone
      }),
    retry: (lock, message, { delayMs, headers }) =>
      carry(lock, 'the retry', async (_, { backend }) => {
        const data = writeData(message, { headers: { ...message.headers, ...headers } })
        const delay = Math.ceil(delayMs)
        // A copy, in the sense of the seam: its hand-overs are counted anew.
        const fieldsToUpdate = { data, ats: 0, stc: 0, rtRan: 1 }
        return held(backend.moveToDelayed(lock.job.id, context.now(), delay, lock.job.token, { fieldsToUpdate }))
      }),
    // One after the other, and repeated as a whole: of a transaction the first half might be missing.
    bury: (lock, message, why) =>
      carry(lock, 'the dead letter', async (now, bull) => {
        const letter = letterArguments(message, { ...why, at: context.now() })
        const isBuried = await now.scripts.run('bury', lock.queue.key(''), ...letter, lock.job.id, lock.job.token)
        return isBuried === 1 && complete(now, bull, lock, message)
      }),
  }
}

const MANY = 25
const NO_OPTIONS = {}

/** Scripts of BullMQ answer a number below 0 if the lock, or the job, is not there any more. */
function isDone(code: unknown): boolean {
  return !(typeof code === 'number' && code < 0)
}

/** The same, of what throws for it. */
async function held(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code === 'number' && code < 0) return false
    throw error
  }
}
