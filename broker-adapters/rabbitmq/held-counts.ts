import { randomUUID } from 'node:crypto'
import type { Broadcasts } from './broadcasts.ts'
import type { WorkQueue } from './topology.ts'

/** What one consumer has of a queue. */
export interface HeldCount {
  /** The core has it. */
  readonly active: number
  /** It came and waits here for its turn: of its key, or for a place. */
  readonly waiting: number
  /** Counted as a consumer by the server. */
  readonly isConsuming: boolean
}

/** The server tells nobody without its management plugin how much is held, so those who hold it are asked. */
export interface HeldCounts {
  /** Answers until the function that it gives is called. */
  answer(queue: WorkQueue, count: () => HeldCount): Promise<() => void>
  /** What the consumers hold together; undefined: not all of so many answered in time, as no stranger does. */
  ask(queue: WorkQueue, consumers: number): Promise<Omit<HeldCount, 'isConsuming'> | undefined>
}

/** A process that is busy answers late; a stranger never does. */
const ANSWER_MS = 1_000

interface Question {
  missing: number
  active: number
  waiting: number
  readonly answered: () => void
}

export function createHeldCounts(broadcasts: Broadcasts, processId: string): HeldCounts {
  const questions = new Map<string, Question>()
  const answers = `held.${processId}`
  let listening: Promise<unknown> | undefined

  function onAnswer(body: Uint8Array): void {
    const { token, active, waiting, isConsuming } = parse(body)
    const question = typeof token === 'string' ? questions.get(token) : undefined
    if (question === undefined || !isCount(active) || !isCount(waiting)) return
    question.active += active
    question.waiting += waiting
    if (isConsuming === true) question.missing--
    if (question.missing <= 0) question.answered()
  }

  return {
    answer: (queue, count) =>
      broadcasts.listen(topicOf(queue), (body) => {
        const { token, to } = parse(body)
        if (typeof token === 'string' && typeof to === 'string') broadcasts.send(to, encode({ token, ...count() }))
      }),
    async ask(queue, consumers) {
      if (consumers === 0) return { active: 0, waiting: 0 }
      listening ??= broadcasts.listen(answers, onAnswer)
      await listening
      const token = randomUUID()
      let timer: NodeJS.Timeout | undefined
      const question = await new Promise<Question>((resolve) => {
        const asked: Question = { missing: consumers, active: 0, waiting: 0, answered: () => resolve(asked) }
        questions.set(token, asked)
        timer = setTimeout(resolve, ANSWER_MS, asked)
        broadcasts.send(topicOf(queue), encode({ token, to: answers }))
      })
      clearTimeout(timer)
      questions.delete(token)
      return question.missing > 0 ? undefined : { active: question.active, waiting: question.waiting }
    },
  }
}

function topicOf({ name }: WorkQueue): string {
  return `held.${name}`
}

function encode(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

/** Broadcasts come from anywhere: what is no object has no fields. */
function parse(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
