import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { AdapterContext } from '../adapter.ts'
import type { Session } from './dial.ts'
import { shortOf } from './failures.ts'
import type { WorkQueue } from './keys.ts'

/** The loop that takes jobs, of one consumer over one session. */
export interface Taking {
  /** There may be credit now. */
  wake(): void
  /** What was given back now is for others first, if there are any: they may know what to do with it. */
  yield(): void
  /** Resolves when nothing that was asked for is on its way here any more. */
  idle(): Promise<void>
  end(): void
}

interface TakingParts {
  readonly session: Session
  /** A connection of its own, which this ends. */
  readonly blocking: Redis
  readonly queue: WorkQueue
  /** How many more may be taken. */
  readonly credit: () => number
  readonly accept: (job: TakenJob) => void
  readonly lockMs: number
  readonly now: () => number
  readonly log: AdapterContext['log']
}

/** An idle consumer looks again after this, as a marker may have been taken by somebody who ended. */
const LONGEST_WAIT_MS = 2_000
const YIELD_MS = 10
/** What one consumer takes at once: the others wait for the rest. */
const MOST_AT_ONCE = 64

type TakeAnswer = readonly [
  jobs: readonly (readonly [id: string, name: string, data: string, handOvers: number, fence: number])[],
  nextAt: number,
  strangers: number,
]

/** A job as it was taken. */
export interface TakenJob {
  readonly id: string
  readonly name: string
  readonly data: string
  /** How often it was handed out, this time included. */
  readonly handOvers: number
  /** Of its lock. */
  readonly token: string
  /** 0: it has no key. */
  readonly fence: number
}

export function createTaking(parts: TakingParts): Taking {
  const { session, blocking, queue, credit, accept, lockMs, now, log } = parts
  let isOver = false
  let wakeUp: (() => void) | undefined
  let yieldUntil = 0
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
        await yielded()
        const nextAt = await takeSome()
        if (nextAt !== undefined && !isOver && credit() > 0) await waitForMarker(nextAt)
      } catch (error) {
        session.note(error)
        if (isOver || !session.isOpen) return
        log('warn', 'REDIS_CONSUMER', `${queue.name}: ${shortOf(error)}; tried again`)
        await new Promise((resolve) => setTimeout(resolve, 500).unref())
      }
    }
  }

  /** The longest waiting consumer gets a marker: that is always the same one, unless it waits a moment. */
  async function yielded(): Promise<void> {
    const waitMs = yieldUntil - performance.now()
    if (waitMs <= 0) return
    await session.commands.zadd(queue.key('marker'), 0, '0')
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }

  function credited(): Promise<void> {
    return new Promise((resolve) => {
      wakeUp = resolve
    })
  }

  /** Undefined: there may be more. Else until when to wait. */
  async function takeSome(): Promise<number | undefined> {
    const most = Math.min(MOST_AT_ONCE, credit())
    const token = randomUUID()
    const answer = session.scripts.run('take', queue.key(''), most, now(), lockMs, token, queue.isKeyed ? '1' : '0')
    asking = answer.catch(() => {})
    const [jobs, nextAt, strangers] = (await answer) as TakeAnswer
    asking = undefined
    for (const [index, [id, name, data, handOvers, fence]] of jobs.entries())
      accept({ id, name, data, handOvers, fence, token: `${token}:${index}` })
    if (strangers > 0)
      log('error', 'REDIS_STRANGER', `${queue.name}: ${strangers} keys are no jobs; their ids are dead letters`)
    return jobs.length === most ? undefined : nextAt
  }

  /** Who takes a marker and can use it no more puts it back, so that somebody else does. */
  async function waitForMarker(nextAt: number): Promise<void> {
    const untilDue = nextAt > 0 ? nextAt - now() : LONGEST_WAIT_MS
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
    yield() {
      yieldUntil = performance.now() + YIELD_MS
    },
    async idle() {
      await asking
    },
    end,
  }
}
