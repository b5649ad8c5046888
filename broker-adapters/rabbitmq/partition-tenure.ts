import { storeAtLast, type ConsumerChannel } from './consumer-channel.ts'
import { nextBucketMs, remainingMs, withoutDue } from './delays.ts'
import { Held, type Origin } from '../held.ts'
import { factsOf, keep, type Kept } from './kept.ts'
import { createKeyChains } from './key-chains.ts'
import type { SourceOptions } from './lane.ts'
import type { RetryEntry } from './partition-notes.ts'
import { takeOver, type PartitionState } from './partition-state.ts'
import type { RawMessage } from './properties.ts'
import type { Storing } from './storing.ts'

/** One time of owning a partition, from the subscribing of a channel to its end. */
export interface Tenure {
  take(raw: RawMessage): void
  /** The server has chosen this one, and all that a former owner knew is here. */
  readonly isOwner: boolean
  /** How many messages lie here. */
  readonly size: number
  /** The core has none of them, and nothing is being stored: what lies here may go back. */
  readonly isIdle: boolean
  resume(): void
  /** Resolves when nothing is on its way to the core any more. What the core has stays with it. */
  pause(): Promise<void>
  lose(): void
}

interface TenureOptions extends SourceOptions {
  readonly consumer: ConsumerChannel
  readonly storing: Storing
  readonly onIdle: () => void
  /** The server has chosen this one. */
  readonly onOwner: () => void
  /** The core gave one back for whoever takes it. */
  readonly onGivenBack: () => void
}

/** Room for the hand-overs of one owner: https://developer.mozilla.org/docs/Web/JavaScript/Reference/Global_Objects/Number/MAX_SAFE_INTEGER leaves 2^21 owners. */
const FENCES_OF_AN_OWNER = 2 ** 32
const LONGEST_TIMER_MS = 2 ** 31 - 1

export function createTenure(options: TenureOptions): Tenure {
  const { queue, name, now, consumer, storing, onArrival, onEnd, onIdle, onOwner, onGivenBack } = options
  const chains = createKeyChains<Kept>()
  const out = new Map<Held<RawMessage>, Kept>()
  const preparing = new Set<Promise<boolean>>()
  const timers = new Set<NodeJS.Timeout>()
  /** What came before the state was known. */
  let early: RawMessage[] | undefined
  let state: PartitionState | undefined
  let isOffering = true
  let hops = 0
  /** Delayed, and due so soon that they wait here. */
  let apart = 0
  let handOvers = 0

  async function begin(): Promise<void> {
    const taken = await takeOver({ consumer, storing, name })
    if (taken === undefined) return
    // What a former owner held comes at once, before anything else.
    try {
      await consumer.arrived(name)
    } catch {
      return // the channel is gone, which is told by itself
    }
    if (consumer.isOver) return
    const all = (early ?? []).map((raw) => keep(raw))
    for (const kept of all) kept.entry = taken.claim(kept.key, kept.message.id)
    taken.dropUnclaimed()
    early = undefined
    state = taken
    onOwner()
    // One that is tried again had its turn; what waited for its time beside it did not.
    for (const kept of all) if (kept.entry !== undefined) join(kept)
    for (const kept of all) if (kept.entry === undefined) arrive(kept)
  }

  /** What is delayed stands in the line of its key from its time on. */
  function arrive(kept: Kept): void {
    const waitMs = remainingMs(kept.message.headers, now())
    if (waitMs === 0) join(kept)
    else if (nextBucketMs(waitMs) !== undefined) void hop(kept, waitMs)
    else {
      apart++
      after(waitMs, () => {
        apart--
        join(kept)
      })
    }
  }
  async function hop({ raw, message }: Kept, delayMs: number): Promise<void> {
    hops++
    const copy = { ...message, headers: withoutDue(message.headers), delayMs, expiresInMs: undefined }
    if (await storeAtLast(consumer, () => storing.store(queue, copy))) consumer.ack(raw)
    hops--
    sayIfIdle()
  }
  function join(kept: Kept): void {
    if (chains.add(kept.key, kept)) offer(kept)
  }

  function after(waitMs: number, act: () => void): void {
    const timer = setTimeout(
      () => {
        timers.delete(timer)
        act()
      },
      Math.min(waitMs, LONGEST_TIMER_MS),
    )
    timers.add(timer)
  }

  function offer(kept: Kept): void {
    if (!isOffering || consumer.isOver || kept.held !== undefined || !chains.isHead(kept.key, kept)) return
    const waitMs = (kept.entry?.dueAt ?? 0) - now()
    if (waitMs > 0) return after(waitMs, () => offer(kept))
    const held = new Held(factsOf(kept, nextFence()), origin, leave)
    kept.held = held
    out.set(held, kept)
    onArrival(held)
  }
  /** In a turn of its own: what the core gives back at once would come again within that call. */
  function offerSoon(kept: Kept): void {
    setImmediate(() => offer(kept))
  }

  function nextFence(): number {
    return (state?.owner ?? 0) * FENCES_OF_AN_OWNER + ++handOvers
  }

  function leave(held: Held<RawMessage>): void {
    const kept = out.get(held)
    if (kept?.held === held) kept.held = undefined
    out.delete(held)
    onEnd(held)
    sayIfIdle()
  }
  function isIdle(): boolean {
    return out.size === 0 && hops === 0
  }
  function sayIfIdle(): void {
    if (isIdle()) onIdle()
  }

  /** Its own end, then the turn of the next one of its key. */
  function settle(kept: Kept): void {
    consumer.ack(kept.raw)
    if (kept.entry !== undefined) state?.drop(kept.entry)
    const next = chains.remove(kept.key, kept)
    if (next !== undefined) offer(next)
  }

  async function note(kept: Kept, changes: Pick<RetryEntry, 'dueAt' | 'headers' | 'handOvers'>): Promise<boolean> {
    const { key, message, entry } = kept
    const stored = await state?.replace(entry, { key, id: message.id, ...changes })
    if (stored === undefined) return false
    kept.entry = stored
    return true
  }

  const origin: Origin<RawMessage> = {
    prepare(held) {
      const kept = out.get(held)
      if (kept?.entry === undefined) return undefined
      const noted = note(kept, { ...kept.entry, handOvers: kept.entry.handOvers + 1 }).then(() => !held.isLost)
      preparing.add(noted)
      return noted.finally(() => preparing.delete(noted))
    },
    ack(held) {
      const kept = out.get(held)
      if (kept !== undefined) settle(kept)
    },
    release(held) {
      const kept = out.get(held)
      if (kept === undefined) return
      if (held.isHandedOver) kept.releases++
      offerSoon(kept)
    },
    async retry(held, { delayMs, headers }) {
      const kept = out.get(held)
      if (kept === undefined) return
      const dueAt = delayMs > 0 ? Math.ceil(now() + delayMs) : 0
      const isStored = await note(kept, { dueAt, headers: { ...kept.entry?.headers, ...headers }, handOvers: 0 })
      if (!isStored) return
      offerSoon(kept)
      if (delayMs === 0) onGivenBack()
    },
    async deadLetter(held, why) {
      const kept = out.get(held)
      if (kept === undefined) return
      if (await storeAtLast(consumer, () => storing.bury(queue, held.message, why))) settle(kept)
    },
  }

  return {
    take(raw) {
      if (state !== undefined) return arrive(keep(raw))
      if (early !== undefined) return void early.push(raw)
      early = [raw]
      void begin()
    },
    get isOwner() {
      return state !== undefined
    },
    get size() {
      return chains.size + apart + hops + (early?.length ?? 0)
    },
    get isIdle() {
      return isIdle()
    },
    resume() {
      if (isOffering) return
      isOffering = true
      for (const head of chains.heads()) offer(head)
    },
    async pause() {
      isOffering = false
      for (const held of out.keys()) if (!held.isHandedOver) held.release()
      await Promise.all(preparing)
    },
    lose() {
      isOffering = false
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
      for (const held of out.keys()) held.lose()
    },
  }
}
