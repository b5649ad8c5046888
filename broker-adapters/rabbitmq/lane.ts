import type { ConsumeMessage } from 'amqplib'
import { countsOf } from './channels.ts'
import { openConsumer, storeAtLast, type ConsumerChannel } from './consumer-channel.ts'
import { nextBucketMs, remainingMs, withoutDue } from './delays.ts'
import type { Session } from './dial.ts'
import { Held, type Origin } from '../held.ts'
import { handBacksOf, readRequest, type RawMessage } from './properties.ts'
import type { Publisher } from './publisher.ts'
import type { Storing } from './storing.ts'
import type { WorkQueue } from './topology.ts'

/** What there is while a session lasts. */
export interface Connected {
  readonly session: Session
  readonly publisher: Publisher
  readonly storing: Storing
}

/** Where a subscription takes from: a lane, or a partition of keys. */
export interface Source {
  /** How many it holds, handed over or not. */
  readonly size: number
  /** Begins to consume. Rejects as the server refuses, or if the session ends. */
  open(connected: Connected): Promise<void>
  /**
   * Takes nothing more. Resolves when nothing is on its way here any more, at the latest with the session; what the core does
   * not have yet goes back, what it has can still be settled.
   */
  close(): Promise<void>
  /** The session is gone: everything that is held is lost. */
  lose(): void
  /** Messages wait at the server that should be here. Asked while the core has free credit. */
  isStarved(connected: Connected): Promise<boolean>
}

export interface SourceOptions {
  readonly queue: WorkQueue
  /** Of the server's queue that this one is. */
  readonly name: string
  readonly prefetch: number
  readonly now: () => number
  /** One may be handed over. */
  readonly onArrival: (held: Held<RawMessage>) => void
  /** One that arrived is settled or lost. */
  readonly onEnd: (held: Held<RawMessage>) => void
  /** The server took the consumer away and the session goes on. */
  readonly onBroken: (why: string) => void
}

/** One of several lines of a queue: everything in it may be handed over at once. */
export function createLane({ queue, name, prefetch, now, onArrival, onEnd, onBroken }: SourceOptions): Source {
  const isFirst = name === queue.solo
  /** Which of them consumes now; others only have what is not settled yet. */
  let current: ConsumerChannel | undefined
  const held = new Map<Held<RawMessage>, { readonly consumer: ConsumerChannel; timer: NodeJS.Timeout | undefined }>()

  function loseAll(of?: ConsumerChannel): void {
    for (const [one, { consumer }] of held) if (of === undefined || of === consumer) one.lose()
  }

  function take(raw: ConsumeMessage, consumer: ConsumerChannel, origin: Origin<RawMessage>): void {
    const message = readRequest(raw)
    const waitMs = remainingMs(message.headers, now())
    const headers = withoutDue(message.headers)
    const facts = {
      raw,
      message: headers === message.headers ? message : { ...message, headers },
      redelivered: raw.fields.redelivered,
      handBacks: handBacksOf(raw),
      fence: undefined,
    }
    const one = new Held(facts, origin, (ended) => {
      clearTimeout(held.get(ended)?.timer)
      held.delete(ended)
      onEnd(ended)
    })
    const entry = { consumer, timer: undefined as NodeJS.Timeout | undefined }
    held.set(one, entry)
    if (waitMs === 0) onArrival(one)
    else if (nextBucketMs(waitMs) !== undefined) void one.retry({ delayMs: waitMs, headers: {} })
    else entry.timer = setTimeout(() => onArrival(one), waitMs)
  }

  function originOf(consumer: ConsumerChannel, storing: Storing): Origin<RawMessage> {
    return {
      ack: ({ raw }) => consumer.ack(raw),
      release: ({ raw }) => consumer.giveBack(raw),
      async retry({ raw, message }, { delayMs, headers }) {
        const copy = { ...message, headers: { ...message.headers, ...headers }, delayMs, expiresInMs: undefined }
        if (await storeAtLast(consumer, () => storing.store(queue, copy))) consumer.ack(raw)
      },
      async deadLetter({ raw, message }, why) {
        if (await storeAtLast(consumer, () => storing.bury(queue, message, why))) consumer.ack(raw)
      },
    }
  }

  return {
    get size() {
      return held.size
    },
    async open({ session, storing }) {
      const opened = await openConsumer({
        session,
        queue: name,
        prefetch,
        onOver(why, over) {
          loseAll(over)
          if (current !== over) return
          current = undefined
          if (session.isOpen) onBroken(why)
        },
      })
      current = opened
      const origin = originOf(opened, storing)
      opened.start((raw) => take(raw, opened, origin))
      if (isFirst) await opened.arrived(name)
    },
    async close() {
      const closing = current
      current = undefined
      if (closing === undefined) return
      await closing.cancel()
      for (const [one, { consumer }] of held) if (consumer === closing && !one.isHandedOver) one.release()
    },
    lose() {
      current?.end()
      current = undefined
      loseAll()
    },
    async isStarved({ session }) {
      return current !== undefined && held.size < prefetch && ((await countsOf(session, name))?.ready ?? 0) > 0
    },
  }
}
