import type { Options } from 'amqplib'
import type { QueueRef } from '../../protocol/message.ts'
import { queueName } from '../../protocol/queue-names.ts'

// Names and arguments of everything that stands at the server. Each is a function of namespace and name alone: one that is
// declared with other arguments is an error that closes the channel.

/** A queue as it is declared. */
export interface QueueShape {
  readonly name: string
  readonly options: Options.AssertQueue
}

/** All that belongs to one queue of the core. */
export interface WorkQueue {
  /** `<ns>.q.<group>.<service>.<major>`, the lane of everything that has neither key nor priority. */
  readonly name: string
  readonly features: QueueRef['features']
  /**
   * What runs alone because it may end its worker. A lane of its own, of which a consumer holds one message: the server counts
   * as a hand-back what is on its way when a consumer is cancelled, and here a hand-back counts as a crash.
   */
  readonly solo: string
  /** What goes before the rest; undefined: the queue has no priority. */
  readonly high: string | undefined
  /** Of keyed messages; none: the queue is not keyed. */
  readonly partitions: readonly string[]
  readonly dead: string
  /** A message lies in it while the queue is paused. */
  readonly paused: string
  /** Nothing ever lies in it: those who would consume, were the queue not paused, consume this one and are counted by it. */
  readonly idle: string
}

const PARTITIONS = 8
/** An hour is never wrong, a day is what a handler may take: https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout */
const ACK_TIMEOUT_MS = 86_400_000
/**
 * Servers before 4.3 count each hand-back, whoever caused it, so this is a net only: the core finds messages that crash their
 * workers. Never -1, which 3.10 takes for "drop at the first one".
 */
const DELIVERY_LIMIT = 1_000
/** Each reading of the dead letters is a hand-back. */
const DEAD_DELIVERY_LIMIT = 1_000_000
/** RabbitMQ's largest time to live is 2^32 - 1 ms. */
export const MAX_TTL_MS = 4_294_967_295

export function workQueue(namespace: string, queue: QueueRef): WorkQueue {
  const name = queueName(namespace, queue)
  const rest = name.slice(namespace.length + '.q.'.length)
  const { keyed, priority } = queue.features
  return {
    name,
    features: queue.features,
    solo: `${name}.solo`,
    high: priority ? `${name}.high` : undefined,
    partitions: keyed ? Array.from({ length: PARTITIONS }, (_, number) => `${name}.k${number}`) : [],
    dead: `${namespace}.dead.${rest}`,
    paused: `${namespace}.paused.${rest}`,
    idle: `${namespace}.idle.${rest}`,
  }
}

/** What the worker takes from: lanes and partitions. */
export function workShapes(namespace: string, queue: WorkQueue): readonly QueueShape[] {
  const work = {
    ...QUORUM,
    'x-delivery-limit': DELIVERY_LIMIT,
    'x-consumer-timeout': ACK_TIMEOUT_MS,
    'x-dead-letter-exchange': deathExchange(namespace),
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  }
  return [
    ...lanesOf(queue).map((lane) => durable(lane, work)),
    ...queue.partitions.map((partition) => durable(partition, { ...work, 'x-single-active-consumer': true })),
    // Of a former owner the next one gets nothing before everything: it takes when the server knows that the other is gone.
    ...queue.partitions.map((partition) =>
      durable(stateOf(partition), {
        ...QUORUM,
        'x-delivery-limit': DEAD_DELIVERY_LIMIT,
        'x-single-active-consumer': true,
      }),
    ),
  ]
}

/** Those before others first. */
export function lanesOf({ name, solo, high }: WorkQueue): readonly string[] {
  return high === undefined ? [solo, name] : [solo, high, name]
}
/** All that holds what is to be run. */
export function linesOf(queue: WorkQueue): readonly string[] {
  return [...lanesOf(queue), ...queue.partitions]
}

/** What its owner must know of a partition: the fence, and the state of those that are tried again. */
export function stateOf(partition: string): string {
  return `${partition}.state`
}

export function deadShape({ dead }: WorkQueue): QueueShape {
  return durable(dead, { ...QUORUM, 'x-delivery-limit': DEAD_DELIVERY_LIMIT })
}

/** Whoever reads the dead letters consumes it as the only one; it goes with its last reader. */
export function readerShape(dead: string): QueueShape {
  return { name: `${dead}.reader`, options: { durable: true, autoDelete: true, arguments: CLASSIC } }
}

export function pauseShapes({ paused, idle }: WorkQueue): readonly QueueShape[] {
  return [durable(paused, { ...CLASSIC, 'x-max-length': 1 }), durable(idle, { ...CLASSIC, 'x-max-length': 0 })]
}

/**
 * Where the server puts what it takes out of a work queue. By the reason of the first death it goes on to `deadExchange` or is
 * forgotten; what was delayed has died before, of its delay, and goes on.
 */
export function deathExchange(namespace: string): string {
  return `${namespace}.dlx`
}
/** By routing key, which is the lane, to the dead letters of its queue. */
export function deadExchange(namespace: string): string {
  return `${namespace}.dead`
}
/** Swallows what expired: it must not be kept, and what cannot be routed would be kept for ever. */
export function expiredShape(namespace: string): QueueShape {
  return durable(`${namespace}.expired`, { ...CLASSIC, 'x-max-length': 0 })
}

/** Of a binding at the headers exchange; 'all-with-x' looks at headers that begin with x- too, since 3.10. */
export function diedOf(reason: 'delivery_limit' | 'rejected' | 'maxlen' | 'expired'): Record<string, string> {
  return { 'x-match': 'all-with-x', 'x-first-death-reason': reason }
}
export function diedIn(queue: string): Record<string, string> {
  return { 'x-match': 'all-with-x', 'x-first-death-queue': queue }
}

export function delayExchange(namespace: string, bucketMs: number): string {
  return `${namespace}.delay.${bucketMs}`
}
/** What lies here for `bucketMs` goes to the queue that its routing key names. One ladder serves all queues of a namespace. */
export function delayShape(namespace: string, bucketMs: number): QueueShape {
  return durable(delayExchange(namespace, bucketMs), {
    ...QUORUM,
    'x-message-ttl': bucketMs,
    'x-dead-letter-exchange': '',
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  })
}

export function inboxShape(name: string, type: 'classic' | 'quorum', leaseMs: number): QueueShape {
  return durable(name, { 'x-queue-type': type, 'x-expires': Math.min(Math.max(1, Math.ceil(leaseMs)), MAX_TTL_MS) })
}

/** Its messages live as long as they say; it goes when it was not used for longer than any of them lives. */
export function keptShape(name: string, keepMs: number): QueueShape {
  return durable(name, { ...CLASSIC, 'x-expires': keepMs + KEPT_SLACK_MS })
}
/** Between the use of a mailbox and the message that is put into it. */
const KEPT_SLACK_MS = 60_000
export const MAX_KEEP_MS = MAX_TTL_MS - KEPT_SLACK_MS

/** Broadcasts, by topic. */
export function controlExchange(namespace: string): string {
  return `${namespace}.ctl`
}

const QUORUM = { 'x-queue-type': 'quorum' }
const CLASSIC = { 'x-queue-type': 'classic' }

function durable(name: string, args: Record<string, unknown>): QueueShape {
  return { name, options: { durable: true, arguments: args } }
}
