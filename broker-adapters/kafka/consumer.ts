import type { AdapterContext, Delivery, Subscription } from '../adapter.ts'
import type { Standing } from '../standing.ts'
import type { MemberMode, Part } from './assigner.ts'
import { createCommits, type Commits } from './commits.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { createHandOuts } from './hand-outs.ts'
import { createMembership, type Membership } from './membership.ts'
import type { Partition } from './partition.ts'
import { createParts, type Parts } from './parts.ts'
import { createReading, type Reading } from './reading.ts'
import type { Settling } from './settling.ts'
import { createSharing } from './sharing.ts'
import { lanesOf, type WorkQueue } from './topics.ts'
import { createTurns } from './turns.ts'
import type { Wire } from './wire.ts'

/** A subscription and what its adapter asks of it. */
export interface OwnSubscription extends Subscription, Standing {
  readonly queue: WorkQueue
  /** Others may have come: it is asked at once. */
  nudge(): void
  /** The queue was paused or resumed for all. */
  lookForPause(): Promise<void>
  /** What waits was purged. */
  lookForPurge(): Promise<void>
  /** Until what was settled is stored. */
  flush(): Promise<void>
  /** Gives back what is held, as the adapter stops. */
  giveBack(): Promise<void>
  /** The session is gone, and everything with it. */
  loseAll(): void
}

export interface ConsumerOptions {
  readonly queue: WorkQueue
  readonly prefetch: number
  readonly sessionMs: number
  readonly url: string
  readonly context: Pick<AdapterContext, 'now' | 'log'>
  readonly onDelivery: (delivery: Delivery) => void
  /** Throws BROKER_UNAVAILABLE while there is none. */
  readonly session: () => Session
  readonly settling: Settling
  readonly isPausedForAll: () => Promise<boolean>
  /** Those of the queue are gone. */
  readonly makeTopics: () => Promise<void>
  /** It joins or leaves: the others are told to share at once. */
  readonly onChange: () => void
  readonly onStopped: () => void
  /** It is stopped and everything is settled or lost. */
  readonly onDone: () => void
}

/** What there is of one session. */
interface Membered {
  readonly session: Session
  readonly wire: Wire
  readonly membership: Membership
  readonly reading: Reading
  readonly commits: Commits
  readonly parts: Parts
}

const WAIT_MS = 500
/** While a partition is left out that may soon be wanted again. */
const SHORT_WAIT_MS = 20
const LOOK_MS = 5_000
const COUNT_MS = 60_000
/** A stopped consumer gives up what it has emptied so often at most. */
const SHARE_MS = 500
const LAST_WORD_MS = 3_000
const NO_PART: Part = { places: [], drying: [] }
const AGAIN_MS = 50

/** A member of the group of its queue: reads its partitions ahead, hands out at most `prefetch` at a time. */
export function createConsumer(options: ConsumerOptions): OwnSubscription {
  const { queue, prefetch, sessionMs, url, context, onDelivery, settling, isPausedForAll } = options
  const { log } = context
  const held = createHandOuts({ queue, settling, log, onDelivery, onSettled: afterSettling })
  const turns = createTurns({ hasPriority: queue.high !== undefined, onLooked: pump })
  let now: Membered | undefined
  let leaving: Promise<void> | undefined
  let isPaused = false
  let isStopped = false
  let isDone = false
  let isQueuePaused = false
  let isPumping = false
  /** The group shares anew: what is said of this member must stay true meanwhile. */
  let isSharing = false
  /** Something was kept only because no commit had said yet what is done of it. */
  let mustShareAgain = false
  let memberId = ''
  let saidCounts = ''
  let countedAt = -Infinity
  let dueTimer: NodeJS.Timeout | undefined
  let looking: NodeJS.Timeout | undefined

  /** Of one that takes nothing for a while others get what it does not work on. */
  const mode = (): MemberMode => (isStopped ? 'stopping' : isPaused || prefetch <= held.count ? 'full' : 'active')
  const sharing = createSharing({
    mode,
    ask() {
      now?.membership.rejoin()
      options.onChange()
    },
  })
  const credit = (): number => (isPaused || isStopped || isQueuePaused ? 0 : prefetch - held.count)

  /** Hands out what there is, in a later turn, so that all that was given back in this one lies in its order again. */
  function pump(): void {
    if (isPumping) return
    isPumping = true
    queueMicrotask(() => {
      isPumping = false
      if (now !== undefined) handOutAll(now)
    })
  }

  function handOutAll({ parts, commits, reading, membership }: Membered): void {
    let dueAt = Infinity
    let mustSay = false
    const at = context.now()
    for (const partition of parts.all()) dueAt = Math.min(dueAt, partition.dueNext(at))
    if (membership.current() !== undefined && !isSharing)
      while (credit() > 0) {
        const partition = turns.next(parts)
        if (partition === undefined) break
        const work = partition.peek()
        if (work === undefined) break
        if (work.offset >= partition.window.limit) {
          mustSay = true
          partition.isDirty = true
          partition.recent = Math.max(partition.recent, prefetch)
          parts.block(partition)
          continue
        }
        partition.shift()
        if (work.expiresAt <= context.now()) partition.finish(work)
        else {
          held.handOut(partition, work)
          turns.went(partition)
        }
      }
    parts.unblock()
    sharing.watch()
    if (mustSay || parts.isDirty()) commits.plan(mustSay)
    wakeAt(dueAt)
    reading.wake()
  }

  function afterSettling(partition: Partition): void {
    pump()
    now?.commits.plan()
    if (isStopped && held.count === 0) return void leave()
    if (partition.held > 0) return
    if (mode() !== 'active') sharing.askAfter(SHARE_MS)
    else if (partition.dryUntil > performance.now() || partition.isForOthers) sharing.askAfter(0)
  }

  function wakeAt(dueAt: number): void {
    clearTimeout(dueTimer)
    dueTimer = dueAt === Infinity ? undefined : setTimeout(pump, Math.max(1, Math.min(dueAt - context.now(), 60_000)))
  }

  function losePartition(partition: Partition): void {
    held.loseOf(partition)
    endIfDone()
  }

  /** What nobody may have told of. */
  function lookAround(): void {
    void lookForPause()
    if (performance.now() - countedAt < COUNT_MS) return
    countedAt = performance.now()
    void lookForPartitions()
  }

  /** A topic may have got more, which are nobody's until the group shares anew. */
  async function lookForPartitions(): Promise<void> {
    const wire = now?.wire
    if (wire === undefined) return
    try {
      const found = await Promise.all(lanesOf(queue).map((topic) => countOf(wire, topic)))
      const counts = found.join()
      if (saidCounts !== '' && counts !== saidCounts) sharing.askAfter(0)
      saidCounts = counts
    } catch {
      // Away: looked for again in a while.
    }
  }

  async function lookForPause(): Promise<void> {
    try {
      const found = await isPausedForAll()
      if (found === isQueuePaused) return
      isQueuePaused = found
      pump()
    } catch {
      // Away: looked for again in a moment.
    }
  }

  function open(session: Session): Membered {
    const wire = session.open('consumer')
    const topics = lanesOf(queue)
    const group = wire.group(queue.name)
    const parts = createParts({ wire, session, queue, makeTopics: options.makeTopics, onLost: losePartition, log })
    const commits = createCommits({
      group,
      partitions: parts.all,
      member: () => membership.current(),
      onCommitted: pump,
      onOutdated: () => membership.nudge(),
    })
    const reading = createReading({
      wire,
      wanted: () => parts.wanted({ waitMs: WAIT_MS, shortWaitMs: SHORT_WAIT_MS }),
      onFetched(fetched) {
        parts.take(fetched)
        if (fetched.records.length > 0) pump()
      },
      onOutOfRange: (place) => void parts.find(place, pump),
      onGone: (place) => void parts.renew(place, pump),
      onTrouble: (level, reason) => log(level, 'KAFKA_READING', `${queue.name}: ${reason}`),
    })
    const membership = createMembership({
      group,
      sessionMs,
      formerId: memberId,
      introduce() {
        mustShareAgain = parts.isDirty()
        return { topics, ...parts.introduce(), mode: sharing.say() }
      },
      partitionsOf: async (all) => new Map(await Promise.all(all.map((topic) => countOf(wire, topic)))),
      onPart(part, generation) {
        isSharing = false
        void parts.become(part, generation).then(() => {
          if (mustShareAgain) sharing.askAfter(SHARE_MS)
          else if (parts.list().some(({ dryUntil, held: count }) => dryUntil > 0 && count === 0)) sharing.askAfter(0)
          reading.wake()
          pump()
        })
      },
      onShared: warnOfIdle,
      onLost: () => void parts.become(NO_PART, 0),
      async beforeSharing() {
        isSharing = true
        await commits.flush({ exact: true })
      },
      onTrouble: (reason) =>
        log(
          'error',
          'KAFKA_CONSUMER',
          `${queue.name} cannot be consumed: ${reason}; docs/kafka.md lists what is needed`,
        ),
    })
    return { session, wire, membership, reading, commits, parts }
  }

  /** Said by the one that leads; a log has it once a minute. */
  function warnOfIdle(members: number, partitions: number): void {
    if (members > partitions)
      log(
        'warn',
        'KAFKA_PARTITIONS',
        `${members} workers consume ${queue.name}, which has ${partitions} partitions: ${members - partitions} of them get nothing until others leave; docs/kafka.md says how it gets more`,
      )
  }

  function drop({ session, wire, membership, reading, commits }: Membered): void {
    memberId = membership.id
    membership.abandon()
    reading.end()
    commits.end()
    session.close(wire)
  }

  /** Everything is settled: what was said is said, and the others have the rest. */
  function leave(): Promise<void> {
    leaving ??= (async () => {
      const ending = now
      now = undefined
      if (ending !== undefined) {
        await lastWord(ending)
        drop(ending)
      }
      endIfDone()
    })()
    return leaving
  }

  /** What others are to know; while the group shares anew nothing can be said. */
  async function lastWord({ commits, membership, session }: Membered): Promise<void> {
    const until = performance.now() + LAST_WORD_MS
    while (session.isOpen && !(await commits.flush({ exact: true })) && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    await membership.leave()
    options.onChange()
  }

  function endIfDone(): void {
    if (!isStopped || held.count > 0 || isDone) return
    isDone = true
    endTimers()
    options.onDone()
  }

  function endTimers(): void {
    clearInterval(looking)
    clearTimeout(dueTimer)
    sharing.end()
  }

  return {
    queue,
    async establish() {
      const session = options.session()
      if (isStopped) return
      const opened = open(session)
      if (now !== undefined) drop(now)
      now = opened
      looking ??= setInterval(lookAround, LOOK_MS).unref()
      await lookForPause()
      options.onChange()
      await throughSeam(url, () => opened.membership.joined)
    },
    pause() {
      isPaused = true
      sharing.watch()
      return Promise.resolve()
    },
    resume() {
      isPaused = false
      pump()
    },
    async isStarved() {
      if (credit() <= 0 || now === undefined) return false
      const behind = await throughSeam(url, async () => now?.parts.isBehind() ?? false)
      return behind && credit() > 0
    },
    isQueuePaused: () => throughSeam(url, isPausedForAll),
    nudge: () => now?.membership.nudge(),
    lookForPause,
    async lookForPurge() {
      await now?.parts.forgetPurged()
      pump()
      await now?.commits.flush()
    },
    flush: async () => void (await now?.commits.flush()),
    async stop() {
      if (isStopped) return
      isStopped = true
      options.onStopped()
      if (held.count === 0) return leave()
      now?.membership.rejoin()
      options.onChange()
      await now?.commits.flush()
    },
    async giveBack() {
      isStopped = true
      endTimers()
      await held.putBack(LAST_WORD_MS)
      await leave()
      held.loseAll()
    },
    loseAll() {
      if (now !== undefined) drop(now)
      now = undefined
      held.loseAll()
      endIfDone()
    },
  }

  async function countOf(wire: Wire, topic: string): Promise<readonly [string, number]> {
    wire.forget(topic) // it may have got more
    return [topic, (await wire.topic(topic))?.partitions ?? 0]
  }
}
