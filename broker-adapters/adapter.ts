// THE SEAM: what the core and an adapter say to each other. No broker's type, word or error passes through it:
// what an adapter rejects with is an error of protocol/errors.ts (BROKER_UNAVAILABLE, BROKER_REFUSED, CLOSED).
import type { Clock } from '../protocol/clock.ts'
import type { Message, QueueRef, Reply } from '../protocol/message.ts'

/** What this broker can do; each field that weakens a rule of docs/semantics.md says which. */
export interface Capabilities {
  /** `remove` takes one queued message away, so a cancelled call that waited is proved not to run. */
  readonly removesQueued: boolean
  /** A delivery that says `redelivered: false` is provably the first one. */
  readonly provesFirstDelivery: boolean
  /** `reply` can tell that the caller's inbox is gone. */
  readonly knowsGone: boolean
  /**
   * A queue lies in parts, and each part has one consumer: order is kept within a key only, and what lies before a busy consumer goes to
   * a free one not at once, but when the parts are shared anew.
   */
  readonly isPartitioned: boolean
  /** For how long a second publish of an id is recognised and not stored again; 0: never. */
  readonly dedupeMs: number
  /** The longest time for which a mailbox is kept; 0: it has none. */
  readonly maxKeepMs: number
  /** The longest time a broker lets a delivery stay unsettled; undefined: no limit. */
  readonly ackTimeoutMs: number | undefined
  /** How long after a worker's death its deliveries are handed to others, at the adapter's defaults. */
  readonly recoveryMs: number
  readonly maxMessageBytes: number
  readonly storedMeans: 'disk' | 'disk within 1 s' | 'page cache' | 'memory'
}

/** Only `unroutable`, `tooLarge` and `notSent` prove that the message is not stored. */
export interface PublishOutcome {
  readonly status: 'stored' | 'unroutable' | 'tooLarge' | 'refused' | 'notSent' | 'unknown'
  readonly reason?: string | undefined
}

/** `gone`: nobody has this inbox. `tooLarge`: the broker takes no message of this size. */
export type ReplyOutcome = 'stored' | 'gone' | 'tooLarge' | 'unknown'

export interface DeadLetterReason {
  /** A code of protocol/error-codes.ts. */
  readonly code: string
  /** One line for people: what went wrong, attempt by attempt. Never a stack. */
  readonly reason: string
  readonly attempts: number
}

/**
 * One hand-over of a message to this process. Whatever a stranger wrote, `id` and the values of headers are strings.
 * Exactly one of ack, retry, deadLetter, release is called on it.
 */
export interface Delivery {
  readonly message: Message
  /** False only if the broker knows of no earlier hand-over (see `provesFirstDelivery`). */
  readonly redelivered: boolean
  /** How often the broker took it back, for whatever reason; undefined where it cannot tell. */
  readonly handBacks: number | undefined
  /** Grows at each hand-over of the same key, whoever gets it and whichever broker process hands it over; undefined without a key. */
  readonly fence: number | undefined
  /** The broker has taken it back: somebody else has it or will have it, and settling it does nothing. Stays false once it is settled. */
  readonly isLost: boolean
  /** At most one listener; called at once if it is lost already. */
  onLost(listener: () => void): void
  /** Done: it is never handed out again. */
  ack(): void
  /** Stores a copy with these headers set, due in `delayMs`, then settles. Resolves when done or lost; never rejects. */
  retry(options: { readonly delayMs: number; readonly headers: Readonly<Record<string, string>> }): Promise<void>
  /** Stores a copy among the dead letters, then settles. Resolves when done or lost; never rejects. */
  deadLetter(why: DeadLetterReason): Promise<void>
  /** Gives it back untouched; another consumer may have it at once. */
  release(): void
}

export interface Subscription {
  /**
   * No further deliveries until `resume`; what is held stays held. Resolves when none is on its way here any more, at the
   * latest with the connection; never rejects.
   */
  pause(): Promise<void>
  resume(): void
  /** True: messages wait that this consumer, with its free credit, should have got. */
  isStarved(): Promise<boolean>
  /** The queue is paused for all, see `setPaused`. Asked now and then by each consumer that gets nothing, so it is to be cheap. */
  isQueuePaused(): Promise<boolean>
  /** Consumes no more. What is held can still be settled; deliveries on their way here go back by themselves. */
  stop(): Promise<void>
}

export interface QueueStats {
  readonly ready: number
  readonly dead: number
  readonly consumers: number
  /** Undefined where the broker cannot tell; so with `active`, the deliveries handed out and not settled. */
  readonly delayed: number | undefined
  readonly active: number | undefined
  /** See `setPaused`. */
  readonly isPaused: boolean
}

export interface LetterFilter {
  readonly id?: string | undefined
  readonly method?: string | undefined
  readonly code?: string | undefined
  readonly olderThanMs?: number | undefined
}

/**
 * What is kept of a message that nobody will run again. One per id is listed and replayed, the last one; where the broker keeps
 * the others beside it (`stats` counts them) they go with it.
 */
export interface StoredDeadLetter extends DeadLetterReason {
  readonly message: Message
  /** Epoch ms. */
  readonly at: number
}

export type AdapterState = 'up' | 'down' | 'blocked' | 'refused'
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** What an adapter gets from the core; it knows nothing else of the application. */
export interface AdapterContext {
  readonly namespace: string
  /** Name and random part of this process: inbox addresses are made of it. */
  readonly processId: string
  readonly maxPayloadBytes: number
  readonly log: (level: LogLevel, code: string, message: string) => void
  /** Epoch ms. */
  readonly now: () => number
  /**
   * `up` is said after consumers and inboxes are in place again and what waited in the inboxes was handed over, so that
   * the core re-sends only what is not answered.
   */
  readonly onState: (state: AdapterState, reason?: string) => void
}

export interface Inbox {
  /** Where replies go: opaque to the core, begins with the namespace. */
  readonly address: string
  close(): Promise<void>
}

/** The mailbox of one call, whose outcome any process may read, and read again. */
export interface Mailbox {
  /** Where replies go: opaque to the core, begins with the namespace. */
  readonly address: string
  /** It was there before. */
  readonly isFound: boolean
  close(): Promise<void>
}

/**
 * A broker. `declare`, `consume`, `openInbox`, `openMailbox`, `onBroadcast` wait for the connection, outlive reconnects by themselves and
 * reject only on refusal or `stop`. The others reject with BROKER_UNAVAILABLE while the connection is away.
 * Nothing that a callback throws may reach the broker's library.
 */
export interface BrokerAdapter {
  readonly capabilities: Capabilities
  /** Resolves at the first connection, then redials for ever; rejects only what dialling again cannot mend. */
  start(context: AdapterContext): Promise<void>
  /** Ends every promise of the adapter, that of `start` included. */
  stop(): Promise<void>
  /** Makes the queue if it is missing. */
  declare(queue: QueueRef): Promise<void>
  /** One outcome per message, in order. Never buffers while down, never sends again, never rejects. */
  publish(queue: QueueRef, messages: readonly Message[]): Promise<readonly PublishOutcome[]>
  /**
   * `prefetch`: at most so many unsettled deliveries are held by this subscription. Messages with `rt-key` in a queue that
   * is `keyed`: one of a key is out at a time, in the order in which they were stored; what comes back is first again, and nothing
   * of its key passes one that waits for its retry.
   * In a queue with `priority` what is `rt-priority: high` goes before the rest, but not before an older one of its key.
   */
  consume(
    queue: QueueRef,
    options: { readonly prefetch: number },
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Subscription>
  /**
   * One reader; outlives the connection by `leaseMs`. `done` says that a reply was taken, so the broker may forget it.
   * `onRecreated`: the broker had lost the inbox, replies may be gone with it.
   */
  openInbox(
    options: { readonly leaseMs: number; readonly onRecreated: () => void },
    onReply: (reply: Reply, done: () => void) => void,
  ): Promise<Inbox>
  /**
   * Opens the mailbox of a call; `createForMs` makes it if there is none, `isFound` tells. It lives for `createForMs` from
   * its making and again from each outcome that is stored there, with or without readers; an outcome that comes later makes
   * it anew. It keeps the first final reply of the highest `rt-replay`, which each reader gets once, what is there already
   * before this resolves. Other replies reach those who read now. A reader outlives the connection; only `close` ends it.
   */
  openMailbox(
    callId: string,
    options: { readonly createForMs: number | undefined },
    onReply: (reply: Reply) => void,
  ): Promise<Mailbox>
  /** One outcome per reply, in order; never rejects. */
  reply(address: string, replies: readonly Reply[]): Promise<readonly ReplyOutcome[]>
  /**
   * Removes what waits in the queue. True: it did, and no worker can have run it: it was never handed out before. False
   * proves nothing. Only where `removesQueued`.
   */
  remove?(queue: QueueRef, id: string): Promise<boolean>
  /** Stores a dead letter without settling a delivery. Rejects if it is not known to be stored. */
  park(queue: QueueRef, message: Message, why: DeadLetterReason): Promise<void>
  /** Best effort, to the processes that listen now, this one included. */
  broadcast(topic: string, body: Uint8Array): void
  onBroadcast(topic: string, listener: (body: Uint8Array) => void): Promise<() => void>
  stats(queue: QueueRef): Promise<QueueStats>
  /**
   * How many were removed; what is handed out stays. Where `stats` cannot tell what is delayed and nothing can be removed, a
   * message with a key that waits for its retry may lie with its consumer, where 'delayed' does not find it.
   */
  purge(queue: QueueRef, what: 'ready' | 'delayed' | 'dead'): Promise<number>
  /** Paused, nothing is handed out to anybody, also to those who consume later, until it is resumed. Kept by the broker. */
  setPaused(queue: QueueRef, isPaused: boolean): Promise<void>
  deadLetters(queue: QueueRef): {
    list(filter?: LetterFilter): AsyncIterable<StoredDeadLetter>
    /** Each goes back to the end of its queue as `nextGeneration` of itself; how many. None is lost or stays as well. */
    replay(filter: LetterFilter): Promise<number>
    purge(filter: LetterFilter): Promise<number>
  }
}

/** What `connect` takes in place of a URL: options with types, made by `embedded({…})` and its like. */
export interface AdapterFactory {
  readonly '~adapter': string
  /** For people: logs and errors name the broker by it. Without secrets. */
  readonly url: string
  readonly create: () => BrokerAdapter
  /** Of a test: the clients and workers of this broker live by it. @default that of the process */
  readonly '~clock'?: Clock | undefined
}
