import type { Channel, ConsumeMessage, Message } from 'amqplib'
import type { PublishOutcome } from '../adapter.ts'
import { openChannel } from './channels.ts'
import type { Session } from './dial.ts'
import { shortOf } from './failures.ts'
import type { RawMessage } from './properties.ts'

/** One consumer on a channel of its own, from its first message to the last settlement. */
export interface ConsumerChannel {
  readonly channel: Channel
  /** Nothing can be settled any more: the channel is gone, what was unsettled is lost. */
  readonly isOver: boolean
  /** Resolves when it is over. */
  readonly over: Promise<void>
  /** Hands over what came until now, and what comes. */
  start(onMessage: (raw: ConsumeMessage) => void): void
  /** Resolves when what the server had of this queue for it has come. Rejects if the channel ends. */
  arrived(queue: string): Promise<void>
  ack(raw: RawMessage): void
  /** Back to its place in the queue. */
  giveBack(raw: RawMessage): void
  /**
   * Resolves when nothing arrives any more, at the latest with the session. The channel stays until everything is settled.
   */
  cancel(): Promise<void>
  /** Consumes a second queue on this channel, without a limit. Rejects as the server refuses, which closes the channel. */
  also(queue: string, onMessage: (raw: ConsumeMessage) => void): Promise<void>
  /** Ends it at once: whatever is unsettled goes back in the order in which it came. */
  close(): Promise<void>
  /** The session is gone, or going. */
  end(): void
}

export interface ConsumerOptions {
  readonly session: Session
  readonly queue: string
  readonly prefetch: number
  /** It is over, and not because it was cancelled and had nothing left. At most once. */
  readonly onOver: (why: string, consumer: ConsumerChannel) => void
}

/** Rejects as the server refuses, or if the session ends. */
export async function openConsumer(options: ConsumerOptions): Promise<ConsumerChannel> {
  const { session, queue, prefetch, onOver } = options
  const early: ConsumeMessage[] = []
  let onMessage = (raw: ConsumeMessage): void => void early.push(raw)
  const channel = await openChannel(session)
  const returns: RawMessage[] = []
  const acks = new Set<number>()
  /** By delivery tag, in order. */
  const unsettled = new Set<number>()
  let isCancelled = false
  let isOver = false
  let why = 'the channel was closed'
  let sayOver: () => void = () => {}
  const over = new Promise<void>((resolve) => (sayOver = resolve))

  function finish(isExpected: boolean): void {
    if (isOver) return
    isOver = true
    sayOver()
    if (!isExpected) onOver(why, consumer)
  }
  function closeChannel(): void {
    channel.close().catch(() => {}) // it is closed already
  }
  /** A channel that is going counts as gone: what it would settle comes back. */
  function settle(tags: Iterable<number>, act: () => void): void {
    if (isOver) return
    for (const tag of tags) unsettled.delete(tag)
    session.noteSettled()
    try {
      act()
    } catch (error) {
      why = shortOf(error)
      return finish(false)
    }
    endIfDone()
  }
  function endIfDone(): void {
    if (!isCancelled || unsettled.size > 0 || isOver) return
    finish(true)
    void session.settled().then(closeChannel)
  }
  /** In the order of the queue, as that is the order in which the server puts them back. */
  function flushReturns(): void {
    const ordered = returns.splice(0).toSorted((one, other) => one.fields.deliveryTag - other.fields.deliveryTag)
    for (const raw of ordered) settle([raw.fields.deliveryTag], () => channel.nack(raw, false, true))
  }
  /** What was done in one turn of the event loop: up to the first one that is still at work it is one ack for all of them. */
  function flushAcks(): void {
    const first: number[] = []
    for (const tag of unsettled) {
      if (!acks.delete(tag)) break
      first.push(tag)
    }
    const last = first.at(-1)
    if (last !== undefined) settle(first, () => channel.ack(tagged(last), true))
    for (const tag of acks) settle([tag], () => channel.ack(tagged(tag)))
    acks.clear()
  }
  function onDelivery(raw: ConsumeMessage | null, handle: (raw: ConsumeMessage) => void): void {
    if (raw === null) {
      why = 'the server cancelled the consumer: the queue was deleted, or its node is away'
      finish(false)
      return closeChannel()
    }
    unsettled.add(raw.fields.deliveryTag)
    handle(raw)
  }

  let consumerTag = ''
  const consumer: ConsumerChannel = {
    channel,
    get isOver() {
      return isOver
    },
    over,
    start(listener) {
      onMessage = listener
      for (const raw of early.splice(0)) listener(raw)
    },
    async arrived(name) {
      // Twice, as the first answer may overtake deliveries.
      for (let times = 0; times < 2; times++) await channel.checkQueue(name)
    },
    ack({ fields: { deliveryTag } }) {
      if (isOver) return
      acks.add(deliveryTag)
      session.noteSettled() // who ends the session waits for what is about to be
      if (acks.size === 1) process.nextTick(flushAcks)
    },
    giveBack(raw) {
      returns.push(raw)
      if (returns.length === 1) queueMicrotask(flushReturns) // what is given back together
    },
    async cancel() {
      if (isOver || isCancelled) return
      // Answered behind all that was sent before.
      await channel.cancel(consumerTag).catch(() => {}) // the channel is gone, and with it what was on its way
      isCancelled = true
      endIfDone()
    },
    async also(other, handle) {
      await channel.prefetch(0)
      await channel.consume(other, (raw) => onDelivery(raw, handle))
    },
    async close() {
      if (isOver) return
      flushAcks()
      finish(true)
      await session.settled()
      await channel.close().catch(() => {}) // it is closed already
    },
    end() {
      flushAcks() // where the session is about to be ended by ourselves
      finish(false)
    },
  }
  channel.on('error', (error) => (why = shortOf(error)))
  channel.on('handler-error', (error) => (why = shortOf(error)))
  channel.on('close', () => finish(false))
  await channel.prefetch(prefetch)
  consumerTag = (await channel.consume(queue, (raw) => onDelivery(raw, onMessage))).consumerTag
  // Nobody would hear of it any more.
  if (isOver) throw new Error(`the consumer of ${queue} ended while it was opened: ${why}`)
  return consumer
}

/** All of a message that an ack says. */
function tagged(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message // amqplib reads nothing else
}

/** Between two tries to store a copy. */
const STORE_PAUSE_MS = 500

/** Tries until it is stored: true; false: the original is lost, so somebody else will do it. Never rejects. */
export async function storeAtLast(
  consumer: Pick<ConsumerChannel, 'isOver' | 'over'>,
  store: () => Promise<PublishOutcome>,
): Promise<boolean> {
  while (!consumer.isOver) {
    const { status } = await store()
    if (status === 'stored') return true
    let timer: NodeJS.Timeout | undefined
    const pause = new Promise<void>((resolve) => (timer = setTimeout(resolve, STORE_PAUSE_MS)))
    await Promise.race([pause, consumer.over])
    clearTimeout(timer)
  }
  return false
}
