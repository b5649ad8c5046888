import type { DeadLetterReason, StoredDeadLetter } from '../adapter.ts'
import { SYSTEM_CLOCK, type Clock, type ClockTimer } from '../../protocol/clock.ts'
import { queueName } from '../../protocol/queue-names.ts'
import type { Message, QueueRef, Reply } from '../../protocol/message.ts'
import type { MemoryInbox, MemoryMailbox } from './memory-inbox.ts'
import { createReadyMessages, type ReadyMessages } from './ready-messages.ts'

/** One broker per process and name: what it holds lives as long as the process. */
export interface MemoryBroker {
  /** Of the first who opened it. */
  readonly clock: Clock
  readonly queues: Map<string, MemoryQueue>
  readonly inboxes: Map<string, MemoryInbox>
  readonly mailboxes: Map<string, MemoryMailbox>
  readonly mailboxReaders: Map<string, Set<(reply: Reply) => void>>
  readonly topics: Map<string, Set<(body: Uint8Array) => void>>
  inboxCount: number
  handOvers: number
}

export interface Consumer {
  readonly prefetch: number
  readonly onEntry: (entry: StoredMessage) => void
  held: number
  isPaused: boolean
}

/** A message and what this broker knows of it. */
export interface StoredMessage {
  readonly message: Message
  /** Epoch ms; Infinity: never. */
  readonly expiresAt: number
  handBacks: number
  wasHandedOut: boolean
}

export interface MemoryQueue {
  readonly name: string
  readonly clock: Clock
  readonly features: QueueRef['features']
  readonly ready: ReadyMessages
  isPaused: boolean
  readonly delayed: Map<string, { readonly stored: StoredMessage; readonly timer: ClockTimer }>
  readonly held: Set<StoredMessage>
  readonly dead: Map<string, StoredDeadLetter>
  readonly consumers: Set<Consumer>
  /** Ids stored or settled lately, so that a second publish of one is not stored again. */
  readonly known: Map<string, number>
}

/** For how long a settled id is remembered. */
export const DEDUPE_MS = 600_000

const brokers = new Map<string, MemoryBroker>()

export function memoryBroker(name: string, clock: Clock = SYSTEM_CLOCK): MemoryBroker {
  let broker = brokers.get(name)
  if (broker === undefined) {
    broker = {
      clock,
      queues: new Map(),
      inboxes: new Map(),
      mailboxes: new Map(),
      mailboxReaders: new Map(),
      topics: new Map(),
      inboxCount: 0,
      handOvers: 0,
    }
    brokers.set(name, broker)
  }
  return broker
}

export function memoryQueue(broker: MemoryBroker, namespace: string, ref: QueueRef): MemoryQueue {
  const name = queueName(namespace, ref)
  let queue = broker.queues.get(name)
  if (queue === undefined) {
    queue = {
      name,
      clock: broker.clock,
      features: ref.features,
      ready: createReadyMessages(ref.features),
      isPaused: false,
      delayed: new Map(),
      held: new Set(),
      dead: new Map(),
      consumers: new Set(),
      known: new Map(),
    }
    broker.queues.set(name, queue)
  }
  return queue
}

/** Stores the message, now or when its delay is over. `inPlaceOf`: a delivery of it that ends with this. */
export function store(
  queue: MemoryQueue,
  message: Message,
  { now, inPlaceOf }: { readonly now: () => number; readonly inPlaceOf?: StoredMessage | undefined },
): void {
  const stored: StoredMessage = {
    message,
    expiresAt: message.expiresInMs === undefined ? Infinity : now() + message.expiresInMs,
    handBacks: 0,
    wasHandedOut: false,
  }
  if (inPlaceOf !== undefined) queue.ready.passTurn(inPlaceOf, stored)
  if ((message.delayMs ?? 0) > 0) delay(queue, stored, now)
  else {
    queue.ready.add(stored)
    handOut(queue, now)
  }
}

/** Node's timers end at 2^31 - 1 ms: longer delays are waited for in steps. */
const MAX_TIMER_MS = 2_147_483_647

function delay(queue: MemoryQueue, stored: StoredMessage, now: () => number): void {
  const dueAt = now() + (stored.message.delayMs ?? 0)
  wait()

  function wait(): void {
    const left = dueAt - now()
    const timer = queue.clock.after(Math.min(left, MAX_TIMER_MS), left > MAX_TIMER_MS ? wait : due)
    timer.unref()
    queue.delayed.set(stored.message.id, { stored, timer })
  }
  function due(): void {
    queue.delayed.delete(stored.message.id)
    queue.ready.add(stored)
    handOut(queue, now)
  }
}

/** Gives what is ready to the consumers with free credit, the one with the most first. */
export function handOut(queue: MemoryQueue, now: () => number): void {
  while (!queue.isPaused) {
    const consumer = freest(queue.consumers)
    if (consumer === undefined) return
    const stored = queue.ready.take()
    if (stored === undefined) return
    if (stored.expiresAt <= now()) queue.ready.endTurn(stored)
    else {
      consumer.held++
      // Among equals in turn: the next one is that which got nothing for longest.
      queue.consumers.delete(consumer)
      queue.consumers.add(consumer)
      queue.held.add(stored)
      consumer.onEntry(stored)
    }
  }
}

function freest(consumers: Iterable<Consumer>): Consumer | undefined {
  let best: Consumer | undefined
  let most = 0
  for (const consumer of consumers) {
    const free = consumer.isPaused ? 0 : consumer.prefetch - consumer.held
    if (free > most) {
      most = free
      best = consumer
    }
  }
  return best
}

/** Back to the head, as if it had never been handed out but for the count. */
export function takeBack(queue: MemoryQueue, stored: StoredMessage): void {
  if (!queue.held.delete(stored)) return
  stored.handBacks++
  queue.ready.putBack(stored)
}

export function isKnown(queue: MemoryQueue, id: string, now: number): boolean {
  const since = queue.known.get(id)
  return since !== undefined && now - since < DEDUPE_MS
}

const MAX_KNOWN = 100_000

export function remember(queue: MemoryQueue, id: string, now: number): void {
  queue.known.delete(id)
  queue.known.set(id, now)
  if (queue.known.size > MAX_KNOWN) queue.known.delete(queue.known.keys().next().value ?? '')
}

export function bury(queue: MemoryQueue, message: Message, why: DeadLetterReason & { readonly at: number }): void {
  queue.dead.set(message.id, { message, ...why })
}
