import { HEADER } from '../../protocol/headers.ts'
import type { AdapterContext, DeadLetterReason, Delivery } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { Held } from '../held.ts'
import { within } from '../within.ts'
import type { Partition, Work } from './partition.ts'
import type { Settling } from './settling.ts'
import type { WorkQueue } from './topics.ts'

type RetryOptions = Parameters<Delivery['retry']>[0]

/** Where a delivery comes from. */
export interface Raw {
  readonly work: Work
  readonly partition: Partition
}

/** What a consumer has handed out and is not settled. */
export interface HandOuts {
  readonly count: number
  handOut(partition: Partition, work: Work): void
  loseOf(partition: Partition): void
  loseAll(): void
  /** What is held goes back to its places, as others are to have it; what is being stored is waited for, so long at most. */
  putBack(waitMs: number): Promise<void>
}

interface HandOutParts {
  readonly queue: WorkQueue
  readonly settling: Settling
  readonly log: AdapterContext['log']
  readonly onDelivery: (delivery: Delivery) => void
  /** There is room for one more, and something to be said of its partition. */
  readonly onSettled: (partition: Partition) => void
}

export function createHandOuts({ queue, settling, log, onDelivery, onSettled }: HandOutParts): HandOuts {
  const guard = createGuard(log)
  const held = new Set<Held<Raw>>()
  /** Retries and dead letters that are being stored. */
  const copies = new Set<Promise<void>>()

  const origin = {
    ack: ({ raw: { work, partition } }: Held<Raw>) => partition.finish(work),
    release: ({ raw: { work, partition } }: Held<Raw>) => {
      work.handBacks++
      partition.comeBack(work)
    },
    retry: (one: Held<Raw>, options: RetryOptions) => copy(retry(one, options)),
    deadLetter: (one: Held<Raw>, why: DeadLetterReason) => copy(bury(one, why)),
  }

  /** Until it is stored it is still held, and whoever gives back what is held waits for it. */
  function copy(work: Promise<void>): Promise<void> {
    copies.add(work)
    return work.finally(() => copies.delete(work))
  }

  async function retry(one: Held<Raw>, options: RetryOptions): Promise<void> {
    const { work, partition } = one.raw
    if (work.key !== undefined) return retryInPlace(one, options)
    if ((await settling.retry(one, queue, options)) && !one.isLost) partition.finish(work)
  }

  /** Nothing of its key may pass it. */
  async function retryInPlace(one: Held<Raw>, options: RetryOptions): Promise<void> {
    const { work, partition } = one.raw
    const noted = await settling.note(one, queue, { ...options, partition })
    if (noted === undefined || one.isLost) return
    work.changes = noted.headers
    work.message = { ...work.message, headers: { ...work.message.headers, ...noted.headers } }
    work.handBacksBefore = noted.handBacks
    work.dueAt = noted.dueAt
    // This worker is too old for it, and with a key it stays in its partition.
    if (options.headers[HEADER.given] !== undefined) partition.isForOthers = true
    partition.comeBack(work)
  }

  async function bury(one: Held<Raw>, why: DeadLetterReason): Promise<void> {
    const { work, partition } = one.raw
    if ((await settling.bury(one, queue, why)) && !one.isLost) partition.finish(work)
  }

  function onEnd(ended: Held<Raw>): void {
    held.delete(ended)
    ended.raw.partition.held--
    if (!ended.isLost) onSettled(ended.raw.partition)
  }

  return {
    get count() {
      return held.size
    },
    handOut(partition, work) {
      work.state = 'out'
      work.isHeld = true
      partition.held++
      partition.recent++
      partition.isDirty = true
      const { message } = work
      const handBacks = Math.max(0, work.handBacks - work.handBacksBefore)
      const fence = queue.isKeyed && message.headers[HEADER.key] !== undefined ? partition.nextFence() : undefined
      const facts = { raw: { work, partition }, message, redelivered: handBacks > 0, handBacks, fence }
      const one = new Held<Raw>(facts, origin, onEnd)
      held.add(one)
      one.isHandedOver = true
      guard('onDelivery', () => onDelivery(one))
    },
    loseOf(partition) {
      for (const one of held) if (one.raw.partition === partition) one.lose()
    },
    loseAll() {
      for (const one of held) one.lose()
    },
    async putBack(waitMs) {
      await within(Promise.allSettled(copies), waitMs, () => new Error('late')).catch(() => {}) // then it may be there twice
      for (const { raw } of held) {
        raw.work.state = 'waiting'
        raw.work.handBacks++
        raw.partition.isDirty = true
      }
    },
  }
}
