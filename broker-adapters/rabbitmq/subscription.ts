import { BrokerError } from '../../protocol/errors.ts'
import type { Delivery, Subscription } from '../adapter.ts'
import type { Standing } from '../standing.ts'
import type { ConsumerChannel } from './consumer-channel.ts'
import { countsOf } from './channels.ts'
import { shortOf } from './failures.ts'
import { createLane, type Connected, type Source, type SourceOptions } from './lane.ts'
import type { Held } from '../held.ts'
import type { HeldCount } from './held-counts.ts'
import { createPartition, type Partition } from './partition.ts'
import type { RawMessage } from './properties.ts'
import { lanesOf, type WorkQueue } from './topology.ts'

/** A subscription and what its adapter tells it. */
export interface OwnSubscription extends Subscription, Standing {
  count(): HeldCount
  /** Another one consumes now too. */
  share(): void
  /** The whole queue was paused, or resumed. */
  setQueuePaused(isPaused: boolean): void
  /** The session is gone: everything that is held is lost. */
  lose(): void
}

export interface SubscriptionOptions {
  readonly queue: WorkQueue
  readonly prefetch: number
  readonly now: () => number
  readonly onDelivery: (delivery: Delivery) => void
  /** Throws BROKER_UNAVAILABLE while there is none. */
  readonly connected: () => Connected
  /** Makes the queue if it is missing, and tells whether it is paused. */
  readonly prepare: (connected: Connected) => Promise<{ readonly isPaused: boolean }>
  /** Counts as a consumer while the queue is paused. */
  readonly standBy: (connected: Connected) => Promise<ConsumerChannel>
  /** It consumes: others may have to share their partitions with it. */
  readonly onJoined: () => void
  /** The server took a consumer away: it is to be established again. */
  readonly onBroken: (why: string) => void
  readonly onStopped: () => void
  /** It is stopped and everything is settled or lost. */
  readonly onDone: () => void
}

/** Takes from all lanes and partitions of a queue and hands over at most `prefetch`, 'high' before the rest. */
export function createSubscription(options: SubscriptionOptions): OwnSubscription {
  const { queue, prefetch, now, onDelivery, connected, prepare, standBy, onJoined, onBroken, onStopped, onDone } =
    options
  /** What has come and is not handed over yet, by the rank of its source. */
  const waiting: Held<RawMessage>[][] = []
  const handed = new Set<Held<RawMessage>>()
  const lanes = lanesOf(queue).map((name, rank) => createLane(optionsOf(name, rank)))
  // In one line with what has no key: none of them may starve another.
  const partitions = queue.partitions.map((name) =>
    createPartition({ ...optionsOf(name, lanes.length - 1), onOwner: () => void share() }),
  )
  const sources: readonly Source[] = [...lanes, ...partitions]
  let isPaused = false
  let isQueuePaused = false
  let isStopped = false
  /** Opening and closing happen one after the other, in the order in which they were asked for. */
  let turn: Promise<void> = Promise.resolve()
  let isOpen = false
  let isBroken = false
  let standingBy: ConsumerChannel | undefined
  let isSharing = false
  /** Since it was looked at, it became the owner of one, or somebody else came. */
  let mayHaveMore = false

  function optionsOf(name: string, rank: number): SourceOptions {
    const line = (waiting[rank] ??= [])
    return {
      queue,
      name,
      prefetch: creditOf(name),
      now,
      onArrival(held) {
        line.push(held)
        handOver()
      },
      onEnd(held) {
        if (!handed.delete(held)) remove(line, held)
        handOver()
        endIfDone()
      },
      onBroken: breakDown,
    }
  }

  function creditOf(name: string): number {
    if (name === queue.solo) return 1
    // So that the next of the more urgent ones is here already when one of them ends.
    return name === queue.high ? prefetch * 2 : prefetch
  }

  function handOver(): void {
    while (isOpen && handed.size < prefetch) {
      const held = waiting.find((line) => line.length > 0)?.shift()
      if (held === undefined) return
      held.isHandedOver = true
      handed.add(held)
      const prepared = held.origin.prepare?.(held)
      if (prepared === undefined) onDelivery(held)
      else void prepared.then((isThere) => isThere && onDelivery(held))
    }
  }

  function endIfDone(): void {
    if (isStopped && handed.size === 0) onDone()
  }

  function inTurn(act: () => Promise<void>): Promise<void> {
    const done = turn.then(act)
    turn = done.catch(() => {}) // whoever asked hears of it
    return done
  }
  /** While the server is away the next session opens it; else it is put in place again as a whole. */
  function actLater(act: () => Promise<void>): void {
    inTurn(act).catch((error: unknown) => {
      if (!(error instanceof BrokerError)) onBroken(shortOf(error))
    })
  }
  const isWanted = (): boolean => !isPaused && !isQueuePaused && !isStopped

  async function open(): Promise<void> {
    if (isOpen || isStopped) return
    const now = connected()
    if (isQueuePaused) standingBy ??= await standBy(now)
    if (!isWanted()) return
    isOpen = true
    try {
      for (const source of sources) {
        await source.open(now)
        handOver()
        // Something runs alone: what asked for the pause closes what is open. The rest is not touched for it, as the server counts
        // what it takes back of a consumer that is cancelled, and what came back twice is run alone, too.
        if (!isWanted()) return
      }
    } catch (error) {
      await close() // what is open already would be opened a second time
      throw error
    }
    await endStandBy()
  }
  /** What is on its way is handed over: servers before 4.3 count all that goes back, which looks like a crash. */
  async function close(): Promise<void> {
    await Promise.all(sources.map((source) => source.close()))
    isOpen = false
    if (isStopped) await endStandBy()
  }
  async function endStandBy(): Promise<void> {
    const ending = standingBy
    standingBy = undefined
    await ending?.cancel()
  }
  async function pauseQueue(): Promise<void> {
    await close()
    await open() // to stand by
  }
  /** What the core has of the other sources stays with it. */
  function breakDown(why: string): void {
    if (!isOpen || isBroken) return
    isBroken = true
    void inTurn(close).then(() => {
      isBroken = false
      onBroken(why)
    })
  }

  /** The server gives a partition to who came first, so the first process would have all: what is more than its share goes on. */
  async function share(): Promise<void> {
    mayHaveMore = true
    if (isSharing) return
    isSharing = true
    try {
      while (mayHaveMore && isOpen) {
        mayHaveMore = false
        await leaveSome(partitions.filter(({ isOwned }) => isOwned))
      }
    } catch {
      // The session ends, or somebody deletes the queue: both are mended elsewhere.
    } finally {
      isSharing = false
    }
  }
  async function leaveSome(owned: readonly Partition[]): Promise<void> {
    if (owned.length < 2) return
    const now = connected()
    const consumers = (await countsOf(now.session, queue.name))?.consumers ?? 0
    const fair = Math.ceil(partitions.length / Math.max(1, consumers))
    await Promise.all(owned.slice(fair).map((partition) => partition.stepAside(now)))
  }

  return {
    share: () => void share(),
    count: () => ({
      active: handed.size,
      waiting: sources.reduce((sum, { size }) => sum + size, 0) - handed.size,
      isConsuming: isOpen || standingBy !== undefined,
    }),
    establish: () =>
      inTurn(async () => {
        const now = connected()
        if (isStopped) return
        isQueuePaused = (await prepare(now)).isPaused
        await open()
        onJoined()
      }),
    async pause() {
      isPaused = true
      await inTurn(close)
    },
    resume() {
      isPaused = false
      actLater(open)
    },
    setQueuePaused(isNowPaused) {
      isQueuePaused = isNowPaused
      actLater(isNowPaused ? pauseQueue : open)
    },
    isQueuePaused: () => Promise.resolve(isQueuePaused),
    async isStarved() {
      if (!isOpen || handed.size >= prefetch || waiting.some((line) => line.length > 0)) return false
      const now = connected()
      for (const source of sources) if (await source.isStarved(now)) return true
      return false
    },
    async stop() {
      isStopped = true
      await inTurn(close)
      onStopped()
      endIfDone()
    },
    lose() {
      isOpen = false
      standingBy = undefined
      for (const source of sources) source.lose()
    },
  }
}

function remove(line: Held<RawMessage>[], held: Held<RawMessage>): void {
  const at = line.indexOf(held)
  if (at >= 0) line.splice(at, 1)
}
