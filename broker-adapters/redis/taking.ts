import { randomUUID } from 'node:crypto'
import type { JobJson } from 'bullmq'
import type { Redis } from 'ioredis'
import { HEADER } from '../../protocol/headers.ts'
import type { AdapterContext } from '../adapter.ts'
import type { Bull, Session } from './dial.ts'
import { isWrongType, shortOf } from './failures.ts'
import { readJob } from './job-data.ts'
import type { WorkQueue } from './keys.ts'

/** The loop that takes jobs, of one consumer over one session. */
export interface Taking {
  /** There may be credit now. */
  wake(): void
  /** Resolves when nothing that was asked for is on its way here any more. */
  idle(): Promise<void>
  end(): void
}

interface TakingParts {
  readonly session: Session
  readonly bull: Bull
  /** A connection of its own, which this ends. */
  readonly blocking: Redis
  readonly queue: WorkQueue
  /** How many more may be taken. */
  readonly credit: () => number
  readonly accept: (job: JobJson, token: string, fence: number | undefined) => void
  readonly log: AdapterContext['log']
}

/** An idle consumer looks again after this, as a marker may have been taken by somebody who ended. */
const LONGEST_WAIT_MS = 2_000
/** Asked for at once, when the last time as many came. */
const MOST_AT_ONCE = 16

interface Taken {
  readonly job: JobJson | undefined
  /** When the next delayed one is due, epoch ms; 0: unknown. */
  readonly nextAt: number
}

export function createTaking(parts: TakingParts): Taking {
  const { session, bull, blocking, queue, credit, accept, log } = parts
  let isOver = false
  let wakeUp: (() => void) | undefined
  let atOnce = 1
  let asking: Promise<unknown> | undefined

  session.onEnd.add(end)
  void run()

  async function run(): Promise<void> {
    while (!isOver) {
      try {
        if (credit() <= 0) {
          await credited()
          continue
        }
        const nextAt = await takeSome()
        if (nextAt !== undefined && !isOver && credit() > 0) await waitForMarker(nextAt)
      } catch (error) {
        session.note(error)
        if (isOver || !session.isOpen) return
        if (isWrongType(error)) await expel()
        log('warn', 'REDIS_CONSUMER', `${queue.name}: ${shortOf(error)}; tried again`)
        await new Promise((resolve) => setTimeout(resolve, 500).unref())
      }
    }
  }

  /** What is no job, and lies among those that were taken, would be met again and again. */
  async function expel(): Promise<void> {
    try {
      const count = Number(await session.scripts.run('expel', queue.key(''), Date.now()))
      if (count > 0)
        log('error', 'REDIS_STRANGER', `${queue.name}: ${count} keys are no jobs; their ids are dead letters`)
    } catch (error) {
      log('warn', 'REDIS_CONSUMER', `${queue.name}: ${shortOf(error)}`)
    }
  }

  function credited(): Promise<void> {
    return new Promise((resolve) => {
      wakeUp = resolve
    })
  }

  /** Undefined: there may be more. Else until when to wait. */
  async function takeSome(): Promise<number | undefined> {
    const count = Math.min(atOnce, credit())
    const all = Promise.all(Array.from({ length: count }, takeOne))
    asking = all.catch(() => {})
    const taken = await all
    asking = undefined
    const isAll = taken.every(({ job }) => job !== undefined)
    atOnce = isAll ? Math.min(atOnce * 2, MOST_AT_ONCE) : 1
    return isAll ? undefined : (taken.at(-1)?.nextAt ?? 0)
  }

  async function takeOne(): Promise<Taken> {
    const token = randomUUID()
    const taken = bull.backend.moveToActive(token) as Promise<[JobJson | null, string, number, number]> // as its scripts answer
    const [data, id, , nextAt] = await taken
    if (data === null || data === undefined) return { job: undefined, nextAt: nextAt ?? 0 }
    const job = { ...data, id }
    await hand(job, token)
    return { job, nextAt: 0 }
  }

  async function hand(job: JobJson, token: string): Promise<void> {
    const key = queue.isKeyed ? readJob(job).message.headers[HEADER.key] : undefined
    if (key === undefined) return accept(job, token, undefined)
    const fence = Number(await session.scripts.run('claim', queue.key(''), job.id, key, token))
    if (fence > 0) accept(job, token, fence)
  }

  /** Who takes a marker and can use it no more puts it back, so that somebody else does. */
  async function waitForMarker(nextAt: number): Promise<void> {
    const untilDue = nextAt > 0 ? nextAt - Date.now() : LONGEST_WAIT_MS
    const waitMs = Math.min(untilDue, LONGEST_WAIT_MS)
    if (waitMs <= 0) return
    const marker = queue.key('marker')
    const found = await blocking.bzpopmin(marker, Math.max(waitMs, 2) / 1_000)
    if (found === null || (credit() > 0 && !isOver)) return
    const [, member, score] = found
    await session.commands.zadd(marker, score, member)
  }

  function end(): void {
    if (isOver) return
    isOver = true
    session.onEnd.delete(end)
    wakeUp?.()
    session.close(blocking)
  }

  return {
    wake() {
      const wake = wakeUp
      wakeUp = undefined
      wake?.()
    },
    async idle() {
      await asking
    },
    end,
  }
}
