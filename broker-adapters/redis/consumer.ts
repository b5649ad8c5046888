import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { AdapterContext, Delivery, Subscription } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { Held } from '../held.ts'
import type { Standing } from '../standing.ts'
import type { Session } from './dial.ts'
import { readDelivery } from './job-data.ts'
import { OWN, type WorkQueue } from './keys.ts'
import type { Lock, Settling } from './settling.ts'
import { createTaking, type TakenJob, type Taking } from './taking.ts'

/** A subscription and what its adapter asks of it. */
export interface OwnSubscription extends Subscription, Standing {
  /** Gives back what is held, as the adapter stops. */
  giveBack(): Promise<void>
}

export interface ConsumerOptions {
  readonly queue: WorkQueue
  readonly prefetch: number
  readonly lockMs: number
  readonly stalledCheckMs: number
  readonly context: Pick<AdapterContext, 'now' | 'log'>
  readonly onDelivery: (delivery: Delivery) => void
  /** Throws BROKER_UNAVAILABLE while there is none. */
  readonly session: () => Session
  readonly settling: Settling
  readonly onStopped: () => void
  /** It is stopped and everything is settled or lost. */
  readonly onDone: () => void
}

/** Takes jobs, at most `prefetch` at a time, and holds their locks until they are settled. Locks outlive connections. */
export function createConsumer(options: ConsumerOptions): OwnSubscription {
  const { queue, prefetch, lockMs, stalledCheckMs, context, onDelivery, session, settling, onStopped, onDone } = options
  const consumerId = randomUUID()
  /** Not settled for good yet, by token: their locks are renewed. */
  const locks = new Map<string, Lock>()
  const guard = createGuard(context.log)
  /** With the core, or about to be. */
  const held = new Set<Held<Lock>>()
  let taking: Taking | undefined
  /** Given back in this moment. */
  let returning: Held<Lock>[] = []
  /** Gone from the core, and not yet back in the queue. */
  let leaving = 0
  /** Until what came too late is back in the queue. */
  let last: Promise<void> = Promise.resolve()
  let taken = 0
  let isPaused = false
  let isStopped = false
  let renewing: NodeJS.Timeout | undefined
  let checking: NodeJS.Timeout | undefined

  function credit(): number {
    return isPaused || isStopped ? 0 : prefetch - held.size - returning.length - leaving
  }

  function accept(job: TakenJob): void {
    const { token, fence } = job
    const lock: Lock = { queue, job, number: ++taken, isGone: false }
    const { message, expiresAt } = readDelivery(job)
    if (isPaused || isStopped) return void (last = untake(lock, last))
    if (expiresAt <= context.now()) return void settling.finish(lock, message)
    const handBacks = job.handOvers - 1
    const facts = { raw: lock, message, redelivered: handBacks > 0, handBacks, fence: fence === 0 ? undefined : fence }
    const one = new Held<Lock>(facts, origin, (ended) => {
      held.delete(ended)
      if (ended.isLost) locks.delete(token)
      taking?.wake()
      endIfDone()
    })
    locks.set(token, lock)
    lock.onGone = () => {
      locks.delete(token)
      one.lose()
      endIfDone()
    }
    held.add(one)
    handOver(one)
  }

  function handOver(one: Held<Lock>): void {
    one.isHandedOver = true
    guard('onDelivery', () => onDelivery(one))
  }

  const through = (lock: Lock): void => {
    locks.delete(lock.job.token)
    endIfDone()
  }
  const origin = {
    ack: ({ raw, message }: Held<Lock>) => void settling.finish(raw, message).then(() => through(raw)),
    release: (one: Held<Lock>) => {
      if (returning.push(one) === 1) queueMicrotask(returnAll)
    },
    retry: ({ raw, message }: Held<Lock>, retry: Parameters<Delivery['retry']>[0]) => {
      if (retry.delayMs === 0) taking?.yield()
      return settling.retry(raw, message, retry).then(() => through(raw))
    },
    deadLetter: ({ raw, message }: Held<Lock>, why: Parameters<Delivery['deadLetter']>[0]) =>
      settling.bury(raw, message, why).then(() => through(raw)),
  }

  /** Each goes to the head of the queue: the last one that was taken first, so that they lie there in their order. */
  function returnAll(): void {
    const all = returning.toSorted((one, other) => other.raw.number - one.raw.number)
    returning = []
    leaving += all.length
    taking?.yield()
    for (const { raw } of all)
      void settling.giveBack(raw).then(() => {
        leaving--
        through(raw)
        taking?.wake()
      })
  }

  async function untake(lock: Lock, before: Promise<void>): Promise<void> {
    locks.set(lock.job.token, lock)
    await Promise.all([before, settling.untake(lock)])
    through(lock)
  }

  function endIfDone(): void {
    if (!isStopped || held.size > 0 || locks.size > 0) return
    clearInterval(renewing)
    onDone()
  }

  /** Also says that this consumer is alive. */
  async function renew(): Promise<void> {
    const list = [...locks.values()]
    try {
      const now = session()
      const bull = await now.bull(queue)
      if (!isStopped) void now.commands.zadd(queue.key(OWN.consumers), context.now() + lockMs, consumerId).catch(ignore)
      if (list.length === 0) return
      const ids = list.map(({ job }) => job.id)
      const gone = new Set(
        await bull.backend.extendLocks(
          ids,
          list.map(({ job }) => job.token),
          lockMs,
        ),
      )
      for (const lock of list) if (gone.has(lock.job.id)) lose(lock)
    } catch {
      // Away: tried again in a moment, and a lock that ran out is told by whoever asks for it.
    }
  }

  function lose(lock: Lock): void {
    if (!locks.has(lock.job.token)) return
    lock.isGone = true
    lock.onGone?.()
  }

  /** Jobs whose lock was not there at this look and the last one wait again. The consumers of a queue share the work. */
  async function freeStalled(): Promise<void> {
    try {
      const { backend } = await session().bull(queue)
      await backend.moveStalledJobsToWait()
    } catch {
      // Away: looked for again in a moment. What is wrong with the queue the taking says.
    }
  }

  async function enlist(now: Session): Promise<void> {
    await now.commands.zadd(queue.key(OWN.consumers), context.now() + lockMs, consumerId)
    renewing ??= setInterval(() => void renew(), lockMs / 3)
    checking ??= setInterval(() => void freeStalled(), stalledCheckMs)
  }

  async function strike(): Promise<void> {
    try {
      await session().commands.zrem(queue.key(OWN.consumers), consumerId)
    } catch {
      // Away: it runs out.
    }
  }

  return {
    async establish() {
      const now = session()
      await enlist(now)
      void renew()
      taking?.end()
      const blocking: Redis = await now.open('jobs')
      if (isStopped) return now.close(blocking)
      taking = createTaking({
        session: now,
        blocking,
        queue,
        credit,
        accept,
        lockMs,
        now: context.now,
        log: context.log,
      })
    },
    async pause() {
      isPaused = true
      await taking?.idle()
      await last
    },
    resume() {
      isPaused = false
      taking?.wake()
    },
    async isStarved() {
      if (credit() <= 0) return false
      const { commands } = session()
      const [wait, prioritized, paused] = await Promise.all([
        commands.llen(queue.key('wait')),
        commands.zcard(queue.key('prioritized')),
        commands.hexists(queue.key('meta'), 'paused'),
      ])
      return wait + prioritized > 0 && paused === 0 && credit() > 0
    },
    async isQueuePaused() {
      return (await session().commands.hexists(queue.key('meta'), 'paused')) === 1
    },
    async stop() {
      if (isStopped) return
      isStopped = true
      onStopped()
      clearInterval(checking)
      const ending = taking
      await ending?.idle()
      ending?.end()
      await last
      await strike()
      endIfDone()
    },
    async giveBack() {
      isStopped = true
      taking?.end()
      clearInterval(renewing)
      clearInterval(checking)
      await Promise.all([strike(), ...[...locks.values()].toReversed().map((lock) => settling.giveBack(lock))])
      for (const one of held) one.lose()
    },
  }
}

function ignore(): void {}
