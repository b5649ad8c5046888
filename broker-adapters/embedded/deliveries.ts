import type { DeadLetterReason, Delivery, Subscription } from '../adapter.ts'
import type { Message } from '../../protocol/message.ts'
import type { Ask } from './ask.ts'
import { askStats } from './ask-stats.ts'
import { readMessage, writeMessage } from './envelope.ts'
import type { Link } from './link.ts'
import { readPlacing } from './placing.ts'
import { skipToId } from './records.ts'
import type { Standing, StandingSet } from '../standing.ts'
import { FLOW, OP, type FrameReader, type FrameWriter } from './wire.ts'

/** The consuming side of one process: its subscriptions and what they hold. */
export interface Deliveries {
  consume(queue: string, prefetch: number, onDelivery: (delivery: Delivery) => void): Promise<Subscription>
  onDeliver(fields: FrameReader): void
  /** The hub says that this request's final reply has settled it. */
  onSettledByReply(id: string): void
  /** The connection is gone; called before what waited for answers hears of it. */
  onDisconnected(): void
  /** Called when everything is in place after a connect: what waited for that goes on. */
  onEstablished(): void
  /** Writes the acks and releases of this turn. */
  writeCollected(writer: FrameWriter): void
  stop(): void
}

type RetryOptions = Parameters<Delivery['retry']>[0]

interface DeliveryHost {
  onLost(held: Held): void
  ack(held: Held): void
  release(held: Held): void
  retry(held: Held, delayMs: number, headers: RetryOptions['headers']): Promise<void>
  deadLetter(held: Held, why: DeadLetterReason): Promise<void>
}

/** A class, unlike elsewhere: there is one per hand-over, and its methods are then shared, not made anew for each. */
class Held implements Delivery {
  /** What was made of it; 'copy': a retry or dead letter that is perhaps still under way. */
  end: 'ack' | 'release' | 'copy' | undefined = undefined
  isSettledByReply = false
  isLost = false
  onLostListener: (() => void) | undefined = undefined
  readonly host: DeliveryHost
  readonly owner: Owner
  readonly sequence: number
  readonly grant: number
  readonly message: Message
  readonly fence: number | undefined

  constructor(host: DeliveryHost, owner: Owner, { sequence, grant, message, fence }: HandedOut) {
    this.host = host
    this.owner = owner
    this.sequence = sequence
    this.grant = grant
    this.message = message
    this.fence = fence
  }
  get redelivered(): boolean {
    return this.grant > 1
  }
  get handBacks(): number {
    return this.grant - 1
  }
  onLost(listener: () => void): void {
    this.onLostListener = listener
    this.host.onLost(this)
  }
  ack(): void {
    this.host.ack(this)
  }
  release(): void {
    this.host.release(this)
  }
  retry({ delayMs, headers }: RetryOptions): Promise<void> {
    return this.host.retry(this, delayMs, headers)
  }
  deadLetter(why: DeadLetterReason): Promise<void> {
    return this.host.deadLetter(this, why)
  }
}

interface Owner {
  readonly number: number
  readonly queue: string
  readonly prefetch: number
  readonly onDelivery: (delivery: Delivery) => void
  readonly standing: Standing
  readonly held: Map<number, Held>
  flow: (typeof FLOW)[keyof typeof FLOW]
}

/** As the hub hands it out. */
interface HandedOut {
  readonly sequence: number
  readonly grant: number
  readonly message: Message
  readonly fence: number | undefined
}

interface Tag {
  readonly sequence: number
  readonly grant: number
  readonly owner: Owner
}

/**
 * For about how long a settled delivery may still be undone by the hub's death. If that happens, it is settled again at
 * the next hub rather than run again.
 */
const DOUBT_MS = 1_000

export function createDeliveries(options: {
  readonly link: Link
  readonly ask: Ask
  readonly standings: StandingSet
  /** Runs the core's callback; what it throws goes to the log. */
  readonly guard: (what: string, run: () => void) => void
}): Deliveries {
  const { link, ask, standings, guard } = options
  const owners = new Map<number, Owner>()
  const heldById = new Map<string, Held>()
  let acks: Tag[] = []
  let releases: Tag[] = []
  let doubtful: { older: Tag[]; newer: Tag[]; since: number } = { older: [], newer: [], since: Date.now() }
  let waiting: (() => void)[] = []
  let isEstablished = false
  let isStopped = false
  let last = 0

  function forget(held: Held): void {
    held.owner.held.delete(held.sequence)
    if (heldById.get(held.message.id) === held) heldById.delete(held.message.id)
    dropIfDone(held.owner)
  }
  function dropIfDone(owner: Owner): void {
    if (owner.flow !== FLOW.stop || owner.held.size > 0) return
    owners.delete(owner.number)
    standings.remove(owner.standing)
  }
  function lose(held: Held): void {
    if (held.isLost) return
    held.isLost = true
    forget(held)
    host.onLost(held)
  }
  function doubt(tag: Tag): void {
    const now = Date.now()
    // Kept as they are while there is no hub: then they are the ones in doubt.
    if (link.isConnected && now - doubtful.since > DOUBT_MS) {
      doubtful = { older: doubtful.newer, newer: [], since: now }
    }
    doubtful.newer.push(tag)
  }
  function settle(held: Held, end: 'ack' | 'release'): boolean {
    if (held.end !== undefined || held.isLost) return false
    held.end = end
    forget(held)
    return true
  }
  /** Until it is done at one hub or another, or lost. */
  async function settleBy(held: Held, send: () => Promise<void>): Promise<void> {
    if (held.end !== undefined || held.isLost) return
    held.end = 'copy'
    while (!held.isLost && !isStopped) {
      if (!isEstablished) await new Promise<void>((resolve) => waiting.push(resolve))
      if (held.isLost || isStopped) break
      const isDone = await send().then(
        () => true,
        () => false,
      )
      if (isDone) break
    }
    forget(held)
  }

  async function bury(held: Held, { code, reason, attempts }: DeadLetterReason): Promise<void> {
    const { message, grant, sequence, owner } = held
    if (!held.isSettledByReply) {
      const write = (writer: FrameWriter): void =>
        void writer.num(sequence).u32(grant).str(code).str(reason).u32(attempts)
      return ask(OP.DEAD_LETTER, write, () => undefined)
    }
    // Its reply has settled it, so the hub has no copy any more; this process has.
    await ask(
      OP.PARK,
      (writer) => {
        writer.str(owner.queue).str(message.id).str(code).str(reason).u32(attempts)
        writeMessage(writer, message, message.headers)
      },
      () => undefined,
    )
    acks.push(held)
    link.flushSoon()
  }

  async function establish(owner: Owner): Promise<void> {
    const doubted = [...doubtful.older, ...doubtful.newer].filter((tag) => tag.owner === owner)
    const held = [...owner.held.values()]
    const tags: readonly Omit<Tag, 'owner'>[] = [...held, ...doubted]
    const kept = await ask(
      OP.CONSUME,
      (writer) => {
        writer.u32(owner.number).str(owner.queue).u32(owner.prefetch).u8(owner.flow).u32(tags.length)
        for (const { sequence, grant } of tags) writer.num(sequence).u32(grant)
      },
      (fields) => fields.copy(),
    )
    for (const [index, one] of held.entries()) {
      if (kept[index] !== 1) lose(one)
      // Settled while the question was on its way.
      else if (one.end === 'ack') acks.push(one)
      else if (one.end === 'release') releases.push(one)
    }
    for (const [index, tag] of doubted.entries()) if (kept[held.length + index] === 1) acks.push(tag)
    link.flushSoon()
  }

  /** What the deliveries of this process share; each of them is only what it holds. */
  const host: DeliveryHost = {
    onLost: (held) => {
      const listener = held.onLostListener
      if (held.isLost && listener !== undefined) guard('onLost', listener)
    },
    ack(held) {
      if (!settle(held, 'ack')) return
      doubt(held)
      if (!link.isConnected) return
      acks.push(held)
      link.flushLater()
    },
    release(held) {
      if (!settle(held, 'release') || !link.isConnected) return
      releases.push(held)
      link.flushSoon()
    },
    retry: (held, delayMs, headers) =>
      settleBy(held, () => {
        const { message, sequence, grant } = held
        return ask(
          OP.RETRY,
          (writer) => {
            writer.num(sequence).u32(grant).num(delayMs)
            writeMessage(writer, message, { ...message.headers, ...headers })
          },
          () => undefined,
        )
      }),
    deadLetter: (held, why) => settleBy(held, () => bury(held, why)),
  }
  function subscriptionOf(owner: Owner): Subscription {
    const flow = (wanted: Owner['flow']): void => {
      if (owner.flow === FLOW.stop || owner.flow === wanted) return
      owner.flow = wanted
      if (!link.isConnected) return
      link.writer.begin(OP.FLOW).u32(owner.number).u8(wanted).end()
      link.flushSoon()
    }
    /** Answered behind all that was handed out before; without a connection nothing is on its way. */
    const isStarved = (): Promise<boolean> =>
      ask(
        OP.STARVED,
        (writer) => writer.u32(owner.number).str(owner.queue),
        (fields) => fields.u32() === 1,
      ).catch(() => false)
    return {
      async pause() {
        flow(FLOW.pause)
        await isStarved()
      },
      resume: () => flow(FLOW.resume),
      isStarved,
      isQueuePaused: async () => (await askStats(ask, owner.queue)).isPaused,
      stop() {
        flow(FLOW.stop)
        dropIfDone(owner)
        return Promise.resolve()
      },
    }
  }

  return {
    async consume(queue, prefetch, onDelivery) {
      const standing: Standing = { establish: () => establish(owner) }
      const owner: Owner = { number: ++last, queue, prefetch, onDelivery, standing, held: new Map(), flow: FLOW.resume }
      owners.set(owner.number, owner)
      await standings.add(standing)
      return subscriptionOf(owner)
    },
    onDeliver(fields) {
      const owner = owners.get(fields.u32())
      const handedOut = readHandedOut(fields)
      const { sequence, grant, message } = handedOut
      if (owner === undefined || owner.flow === FLOW.stop) {
        link.writer.begin(OP.RELEASE).u32(1).num(sequence).u32(grant).end()
        return link.flushSoon()
      }
      const held = new Held(host, owner, handedOut)
      owner.held.set(sequence, held)
      heldById.set(message.id, held)
      guard('onDelivery', () => owner.onDelivery(held))
    },
    onSettledByReply(id) {
      const held = heldById.get(id)
      if (held !== undefined) held.isSettledByReply = true
    },
    onDisconnected() {
      isEstablished = false
      // They are among the doubtful.
      acks = []
      releases = []
    },
    onEstablished() {
      isEstablished = true
      doubtful.since = Date.now()
      for (const resolve of waiting.splice(0)) resolve()
    },
    writeCollected(writer) {
      if (acks.length > 0) writeTags(writer, OP.ACK, acks)
      if (releases.length > 0) writeTags(writer, OP.RELEASE, releases)
      acks = []
      releases = []
    },
    stop() {
      isStopped = true
      for (const owner of owners.values()) for (const held of owner.held.values()) lose(held)
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}

/** With a record of records.ts, which is the message as it is stored. */
function readHandedOut(fields: FrameReader): HandedOut {
  const sequence = fields.num()
  const grant = fields.u32()
  fields.u32()
  skipToId(fields)
  const id = fields.str()
  fields.str()
  const { turnKey } = readPlacing(fields)
  const message = readMessage(id, fields)
  return { sequence, grant, message, fence: turnKey === undefined ? undefined : fields.num() }
}

function writeTags(writer: FrameWriter, op: number, tags: readonly Tag[]): void {
  writer.begin(op).u32(tags.length)
  for (const { sequence, grant } of tags) writer.num(sequence).u32(grant)
  writer.end()
}
