import type { JobJson } from 'bullmq'
import { HEADER, isHighPriority } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import { generationKey } from '../../protocol/replay.ts'
import type { DeadLetterReason, PublishOutcome } from '../adapter.ts'
import type { Bull, Session } from './dial.ts'
import { causeOf, isAnswer, isDenied, isNotPrimary, isOutOfMemory, shortOf } from './failures.ts'
import { nameOf, writeData, type Death } from './job-data.ts'
import { letterId, type WorkQueue } from './keys.ts'
import { addScript } from './scripts.ts'

/** For how long a job that is done is known: a second publish of its id is not stored again. */
export const DEDUPE_MS = 60_000
export const KEEP_COMPLETED = { age: DEDUPE_MS / 1_000, count: 10_000 } as const
const PRIORITY = { high: 1, normal: 2 } as const

/** Several commands as one. */
export type Transaction = ReturnType<Bull['client']['multi']>

/** Storing in queues, over one session. */
export interface Storing {
  /** Never rejects. */
  store(queue: WorkQueue, message: Message): Promise<PublishOutcome>
  /** Among the dead letters. Rejects if it is not known to be stored. */
  bury(queue: WorkQueue, message: Message, why: DeadLetterReason): Promise<void>
}

interface StoringParts {
  readonly session: Session
  readonly maxMessageBytes: number
  readonly now: () => number
  /** The server takes nothing more. */
  readonly onOutOfMemory: () => void
}

export function createStoring({ session, maxMessageBytes, now, onOutOfMemory }: StoringParts): Storing {
  /** Whose queues are known to be declared. */
  const declared = new Set<string>()

  async function isDeclared({ name, key }: WorkQueue): Promise<boolean> {
    if (declared.has(name)) return true
    if ((await session.commands.hexists(key('meta'), DECLARED)) === 0) return false
    declared.add(name)
    return true
  }

  async function add(queue: WorkQueue, message: Message): Promise<void> {
    const bull = await session.bull(queue)
    const job = jobOf(queue, message, now())
    const key = keyOf(queue, message)
    if (key === undefined) return void (await bull.backend.addJobToTransaction(bull.client, job, job.id))
    await transact(session, bull, (transaction) => addTo(transaction, bull, queue, job, key))
  }

  function outcomeOf(error: unknown): PublishOutcome {
    const reason = shortOf(error)
    if (isOutOfMemory(error)) {
      onOutOfMemory()
      return { status: 'notSent', reason }
    }
    if (isNotPrimary(error)) {
      session.note(error)
      return { status: 'notSent', reason }
    }
    if (isDenied(error)) return { status: 'refused', reason }
    return { status: 'unknown', reason }
  }

  return {
    async store(queue, message) {
      if (message.body.byteLength > maxMessageBytes)
        return { status: 'tooLarge', reason: `it takes ${maxMessageBytes} bytes at most` }
      if (!session.isOpen) return { status: 'notSent' }
      try {
        if (!(await isDeclared(queue))) return { status: 'unroutable', reason: `${queue.name} was not declared` }
        await add(queue, message)
        return { status: 'stored' }
      } catch (error) {
        if (!isAnswer(error) && !session.isOpen && isUnsent(error)) return { status: 'notSent', reason: shortOf(error) }
        return outcomeOf(error)
      }
    },
    async bury(queue, message, why) {
      await session.scripts.run('bury', queue.key(''), ...letterArguments(message, { ...why, at: now() }), '', '')
    },
  }
}

/** In BullMQ's hash of what it knows of a queue. */
const DECLARED = 'replyto'

export async function declareQueue({ commands }: Session, { key }: WorkQueue): Promise<void> {
  await commands.hset(key('meta'), DECLARED, 1)
}

/** What ioredis says of a command that it did not even write. */
function isUnsent(error: unknown): boolean {
  return /enableOfflineQueue|isn't writeable/.test(shortOf(error))
}

/** Undefined: it has no key, or keys mean nothing in this queue. */
export function keyOf(queue: WorkQueue, { headers }: Message): string | undefined {
  return queue.isKeyed ? headers[HEADER.key] : undefined
}

export function jobOf(queue: WorkQueue, message: Message, now: number): JobJson & { readonly id: string } {
  const delay = Math.ceil(message.delayMs ?? 0)
  const priority = queue.hasPriority ? (isHighPriority(message.headers) ? PRIORITY.high : PRIORITY.normal) : 0
  return {
    id: generationKey(message),
    name: nameOf(message),
    data: writeData(message, { now }),
    opts: { delay, priority, removeOnComplete: KEEP_COMPLETED },
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    stalledCounter: 0,
    timestamp: now,
    delay,
    priority,
    failedReason: '',
    returnvalue: '',
  }
}

/** Adds a job, and puts it behind the others of its key. */
export function addTo(
  transaction: Transaction,
  { backend }: Bull,
  queue: WorkQueue,
  job: JobJson & { readonly id: string },
  key: string | undefined,
): void {
  void backend.addJobToTransaction(transaction, job, job.id) // the transaction tells what became of it
  if (key !== undefined) addScript(transaction, 'place', queue.key(''), job.id, key)
}

/** Rejects with the first error of its commands, while others may have done their work; what they answered. */
export async function transact(
  session: Session,
  { client }: Bull,
  fill: (transaction: Transaction) => void,
): Promise<readonly unknown[]> {
  const transaction = client.multi()
  fill(transaction)
  try {
    const answers: unknown = await transaction.exec()
    if (!Array.isArray(answers)) throw new Error('the transaction was not executed')
    return (answers as readonly (readonly [Error | null, unknown])[]).map(([error, answer]) => {
      if (error !== null) throw error
      return answer
    })
  } catch (error) {
    session.note(causeOf(error))
    throw causeOf(error)
  }
}

/** Of the script that buries, but for the job and its lock. */
export function letterArguments(message: Message, death: Death): readonly (string | number)[] {
  const { reason, attempts, at } = death
  return [letterId(message.id), nameOf(message), writeData(message, { dead: death }), reason, attempts, at]
}
