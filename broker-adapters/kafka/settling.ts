import { messageOf } from '../../protocol/errors.ts'
import type { AdapterContext, DeadLetterReason, Delivery } from '../adapter.ts'
import type { Held } from '../held.ts'
import type { Raw } from './hand-outs.ts'
import type { Session } from './dial.ts'
import { letterRecord } from './letter-records.ts'
import { writeNote, type Note } from './notes.ts'
import type { Storing } from './storing.ts'
import { ensureTopics, type Topics, type WorkQueue } from './topics.ts'

type RetryOptions = Parameters<Delivery['retry']>[0]

/** What is stored before a delivery is settled. All go on until it is stored, the delivery is lost or the adapter stops; none rejects. */
export interface Settling {
  /** A copy at the end of the queue. False: it is not stored. */
  retry(one: Held<Raw>, queue: WorkQueue, options: RetryOptions): Promise<boolean>
  /** Beside the queue: the message keeps its place. Undefined: it is not stored. */
  note(
    one: Held<Raw>,
    queue: WorkQueue,
    options: RetryOptions & { readonly partition: Raw['partition'] },
  ): Promise<Note | undefined>
  bury(one: Held<Raw>, queue: WorkQueue, why: DeadLetterReason): Promise<boolean>
}

interface SettlingParts {
  /** Throws while there is none. */
  readonly open: () => { readonly session: Session; readonly storing: Storing }
  readonly topics: Topics
  readonly isStopped: () => boolean
  readonly context: Pick<AdapterContext, 'now' | 'log'>
}

const AGAIN_MS = 200
const MANY = 25

export function createSettling({ open, topics, isStopped, context }: SettlingParts): Settling {
  /** As often as it takes. `work` throws what keeps it from being stored. */
  async function carry(one: Held<Raw>, what: string, work: () => Promise<void>): Promise<boolean> {
    for (let tries = 0; !one.isLost; tries++) {
      try {
        await work()
        return true
      } catch (error) {
        if (isStopped()) return false
        if (tries === MANY)
          context.log('warn', 'KAFKA_SETTLE', `${what} of ${one.message.id} is still tried: ${messageOf(error)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
    return false
  }

  return {
    retry: (one, queue, { delayMs, headers }) =>
      carry(one, 'the retry', async () => {
        const { message } = one
        const copy = { ...message, headers: { ...message.headers, ...headers }, delayMs, expiresInMs: undefined }
        const { status, reason } = await open().storing.store(queue, copy)
        if (status !== 'stored') throw new Error(`${status}: ${reason ?? ''}`)
      }),
    async note(one, queue, { delayMs, headers, partition }) {
      const dueAt = delayMs === 0 ? 0 : context.now() + delayMs
      const { work } = one.raw
      const note: Note = { dueAt, headers: { ...work.changes, ...headers }, handBacks: work.handBacks }
      const isStored = await carry(one, 'the retry', async () => {
        const place = { partition: partition.partition, offset: work.offset }
        const { status } = await writeNote(open().session, topics, queue, { ...note, ...place })
        if (status !== 'stored') throw new Error(status)
      })
      return isStored ? note : undefined
    },
    bury: (one, queue, why) =>
      carry(one, 'the dead letter', async () => {
        const { session } = open()
        await ensureTopics(session.main, [topics.dead(queue)])
        const record = letterRecord(one.message, { ...why, at: context.now() })
        const { status } = await session.producer.append({ topic: queue.dead, partition: 0 }, record)
        if (status !== 'stored') throw new Error(status)
      }),
  }
}
