import type { Channel, ConsumeMessage } from 'amqplib'
import { BrokerError } from '../../protocol/errors.ts'
import { closeChannel, consumeAlone } from './alone.ts'
import { countsOf, openChannel } from './channels.ts'
import type { Session } from './dial.ts'
import { isMissing } from './failures.ts'
import { readerShape, type WorkQueue } from './topology.ts'

/** What lay among the dead letters when it began, oldest first. While it lasts nobody else reads them. */
export interface LetterReading {
  /** The next of them, as many as about `WINDOW_BYTES` hold; nobody else has them until they are acked or it is closed. */
  next(): Promise<{ readonly raws: readonly ConsumeMessage[]; readonly isLast: boolean }>
  ack(raw: ConsumeMessage): void
  /**
   * Everything that is not acked lies in its place again when it resolves; if the connection ended, it lies there in an order
   * of the server's. Never rejects.
   */
  close(): Promise<void>
}

const WINDOW_BYTES = 64 * 1024 * 1024
/** How many are asked for at once: few until their size is known. */
const FIRST_BATCH = 4
const LARGEST_BATCH = 128
/** After so long without one it is asked whether there are any: somebody may have purged the queue. */
const SILENCE_MS = 1_000
/** For a reader that has ended to be forgotten by the queue. */
const FREE_WITHIN_MS = 10_000
const LOOK_EVERY_MS = 5
const NOTHING = Buffer.alloc(0)

/**
 * A quorum queue has no exclusive consumers, so whoever reads consumes a queue beside it, which exists only meanwhile, as the
 * only one. Rejects with BROKER_UNAVAILABLE if others go on reading.
 */
export async function readLetters(session: Session, { dead }: WorkQueue): Promise<LetterReading> {
  const turn = await takeTurn(session, dead)
  try {
    const total = await countWhenFree(session, dead)
    const channel = await openChannel(session)
    return createReading({ session, dead, turn, channel, total })
  } catch (error) {
    await closeChannel(turn)
    throw error
  }
}

async function takeTurn(session: Session, dead: string): Promise<Channel> {
  const { name, options } = readerShape(dead)
  for (;;) {
    try {
      return await consumeAlone({
        session,
        queue: name,
        prepare: (channel) => channel.assertQueue(name, options),
        what: 'reads the dead letters',
        onMessage: () => {},
      })
    } catch (error) {
      if (!isMissing(error)) throw error // it went with its last reader in between
    }
  }
}

/** Without consumers nothing is held by a reader that has gone: in one step the queue forgets it and takes everything back. */
async function countWhenFree(session: Session, dead: string): Promise<number> {
  const endsAt = performance.now() + FREE_WITHIN_MS
  for (;;) {
    const counts = await countsOf(session, dead)
    if (counts === undefined) return 0
    if (counts.consumers === 0) return counts.ready
    if (performance.now() > endsAt)
      throw new BrokerError('BROKER_UNAVAILABLE', 'another process reads the dead letters')
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

function createReading(parts: {
  readonly session: Session
  readonly dead: string
  readonly turn: Channel
  readonly channel: Channel
  readonly total: number
}): LetterReading {
  const { session, dead, turn, channel, total } = parts
  const arrivals = createArrivals(channel)
  const consumers: string[] = []
  /** What is to go back, by its delivery tag, without its body. */
  const held = new Map<number, ConsumeMessage>()
  let asked = 0
  let taken = 0
  let largest = 1
  let batch = FIRST_BATCH

  /** The window of a consumer cannot be widened: another consumer takes the next ones. */
  async function ask(freeBytes: number): Promise<void> {
    const count = Math.max(1, Math.min(batch, total - asked, Math.floor(freeBytes / largest)))
    batch = Math.min(batch * 2, LARGEST_BATCH)
    await channel.prefetch(count)
    const { consumerTag } = await channel.consume(dead, (raw) => {
      if (raw !== null) held.set(raw.fields.deliveryTag, { ...raw, content: NOTHING })
      arrivals.add(raw)
    })
    consumers.push(consumerTag)
    asked += count
  }

  /** One by one, oldest first: at the end of the channel the queue takes back consumer by consumer. */
  async function giveBack(): Promise<void> {
    await Promise.all(consumers.map((tag) => channel.cancel(tag)))
    for (const raw of held.values()) channel.nack(raw, false, true)
    if (held.size > 0) session.noteSettled()
  }

  async function arrival(): Promise<ConsumeMessage | undefined> {
    for (;;) {
      const raw = await arrivals.next(SILENCE_MS)
      if (raw !== undefined) return raw
      if (((await countsOf(session, dead))?.ready ?? 0) === 0) return undefined
    }
  }

  return {
    async next() {
      const raws: ConsumeMessage[] = []
      let bytes = 0
      while (taken < total && (taken < asked || bytes < WINDOW_BYTES)) {
        if (taken === asked) await ask(WINDOW_BYTES - bytes)
        const raw = await arrival()
        if (raw === undefined) return { raws, isLast: true }
        taken++
        raws.push(raw)
        bytes += raw.content.length
        largest = Math.max(largest, raw.content.length)
      }
      return { raws, isLast: taken >= total }
    },
    ack(raw) {
      held.delete(raw.fields.deliveryTag)
      channel.ack(raw)
      session.noteSettled()
    },
    async close() {
      await giveBack().catch(() => {}) // the channel is gone: everything goes back by that
      await session.settled()
      await closeChannel(channel)
      await countWhenFree(session, dead).catch(() => {}) // whoever reads next waits for it too
      await closeChannel(turn)
    },
  }
}

/** Deliveries of a channel, one after the other. */
function createArrivals(channel: Channel): {
  readonly add: (raw: ConsumeMessage | null) => void
  /** Undefined: none came for so long. Rejects when none can come any more. */
  next(withinMs: number): Promise<ConsumeMessage | undefined>
} {
  const waiting: ConsumeMessage[] = []
  let isOver = false
  let wake: () => void = () => {}
  const end = (): void => {
    isOver = true
    wake()
  }
  channel.on('close', end)
  return {
    add(raw) {
      if (raw === null) return end()
      waiting.push(raw)
      wake()
    },
    async next(withinMs) {
      if (waiting.length === 0 && !isOver) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>((resolve) => {
          wake = resolve
          timer = setTimeout(resolve, withinMs)
        })
        clearTimeout(timer)
      }
      if (isOver) throw new BrokerError('BROKER_UNAVAILABLE', 'the dead letters went away while they were read')
      return waiting.shift()
    },
  }
}
