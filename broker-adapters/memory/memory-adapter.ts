import type { Clock } from '../../protocol/clock.ts'
import { CallError, messageOf } from '../../protocol/errors.ts'
import { HEADER } from '../../protocol/headers.ts'
import type { Message, Reply } from '../../protocol/message.ts'
import { queueName } from '../../protocol/queue-names.ts'
import type { AdapterContext, BrokerAdapter, Inbox, Mailbox, PublishOutcome, Subscription } from '../adapter.ts'
import { callListener } from '../call-listener.ts'
import {
  bury,
  DEDUPE_MS,
  handOut,
  isKnown,
  memoryBroker,
  memoryQueue,
  remember,
  store,
  takeBack,
  type Consumer,
  type MemoryQueue,
  type StoredMessage,
} from './memory-broker.ts'
import { holdDelivery, type HeldDelivery } from './memory-delivery.ts'
import {
  deliverReply,
  keepMailbox,
  mailboxAddress,
  MAX_KEEP_MS,
  parseMailbox,
  readMailbox,
  type MemoryInbox,
} from './memory-inbox.ts'
import { memoryLetters } from './memory-letters.ts'

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

export interface MemoryAdapterOptions {
  readonly name: string
  /** For the delays of a broker that is not there yet. @default that of the process */
  readonly clock?: Clock | undefined
}

/**
 * A broker inside this process, for tests: the same rules, nothing on disk. Everything is handed over in a later turn and
 * as a copy, so that no caller sees its own objects come back.
 */
export function createMemoryAdapter({ name, clock }: MemoryAdapterOptions): BrokerAdapter {
  const broker = memoryBroker(name, clock)
  const cleanups = new Set<() => void>()
  let context: AdapterContext | undefined
  let isStopped = false

  const now = (): number => started().now()
  const queueOf = (ref: Parameters<BrokerAdapter['declare']>[0]): MemoryQueue =>
    memoryQueue(broker, open().namespace, ref)

  return {
    capabilities: {
      removesQueued: true,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: DEDUPE_MS,
      maxKeepMs: MAX_KEEP_MS,
      ackTimeoutMs: undefined,
      recoveryMs: 0,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      storedMeans: 'memory',
    },

    async start(given) {
      context = given
      given.onState('up')
    },

    async stop() {
      isStopped = true
      for (const cleanup of cleanups) cleanup()
      cleanups.clear()
    },

    async declare(ref) {
      queueOf(ref)
    },

    async publish(ref, messages) {
      if (isStopped) return messages.map(() => ({ status: 'notSent', reason: 'the adapter was stopped' }))
      if (!broker.queues.has(queueName(started().namespace, ref)))
        return messages.map(() => ({ status: 'unroutable', reason: 'no such queue' }))
      const queue = queueOf(ref)
      await later()
      return messages.map((message) => publishOne(queue, message))
    },

    async consume(ref, { prefetch }, onDelivery) {
      const queue = queueOf(ref)
      const consumer: Consumer = { prefetch, held: 0, isPaused: false, onEntry }
      const held = new Map<StoredMessage, HeldDelivery>()
      const isOpen = (): boolean => queue.consumers.has(consumer)
      queue.consumers.add(consumer)
      setImmediate(() => handOut(queue, now))
      const disconnect = (): void => {
        queue.consumers.delete(consumer)
        for (const [stored, delivery] of [...held].toReversed()) {
          takeBack(queue, stored)
          delivery.lose()
        }
        held.clear()
        handOut(queue, now)
      }
      cleanups.add(disconnect)
      return subscriptionOf(queue, consumer)

      function onEntry(stored: StoredMessage): void {
        const delivery = holdDelivery(queue, { stored, fence: ++broker.handOvers, now, settled })
        held.set(stored, delivery)
        stored.wasHandedOut = true
        setImmediate(() => {
          if (delivery.isLost || !held.has(stored)) return
          if (isOpen()) guarded(() => onDelivery(delivery))
          else delivery.release()
        })
      }
      function settled(stored: StoredMessage): void {
        held.delete(stored)
        consumer.held--
        setImmediate(() => handOut(queue, now))
      }
    },

    async openInbox({ leaseMs }, onReply) {
      const address = `${open().namespace}.in.${started().processId}.${++broker.inboxCount}`
      const inbox: MemoryInbox = {
        leaseTimer: undefined,
        readers: new Set([(reply) => guarded(() => onReply(reply, () => {}))]),
      }
      broker.inboxes.set(address, inbox)
      const leave = (): void => {
        inbox.readers.clear()
        inbox.leaseTimer = broker.clock.after(leaseMs, () => broker.inboxes.delete(address))
        inbox.leaseTimer.unref()
      }
      cleanups.add(leave)
      return {
        address,
        async close() {
          cleanups.delete(leave)
          broker.inboxes.delete(address)
        },
      } satisfies Inbox
    },

    async openMailbox(callId, { createForMs }, onReply) {
      const { name = '' } = parseMailbox(mailboxAddress(open().namespace, callId, 0)) ?? {}
      const isFound = broker.mailboxes.has(name)
      if (!isFound && createForMs === undefined) return { address: '', isFound, close: async () => {} }
      const mailbox = broker.mailboxes.get(name) ?? keepMailbox(broker, name, createForMs ?? 0)
      const reader = (reply: Reply): void => guarded(() => onReply(reply))
      const stopReading = readMailbox(broker, name, reader)
      const leave = (): void => {
        stopReading()
        cleanups.delete(leave)
      }
      cleanups.add(leave)
      if (mailbox.outcome !== undefined) reader(mailbox.outcome)
      return {
        address: mailboxAddress(open().namespace, callId, mailbox.keepMs),
        isFound,
        async close() {
          leave()
        },
      } satisfies Mailbox
    },

    async reply(address, replies) {
      if (isStopped) return replies.map(() => 'unknown')
      await later()
      return replies.map((reply) => deliverReply(broker, address, reply))
    },

    async remove(ref, id) {
      const queue = queueOf(ref)
      const delayed = queue.delayed.get(id)
      const stored = queue.ready.remove(id) ?? delayed?.stored
      delayed?.timer.cancel()
      queue.delayed.delete(id)
      if (stored !== undefined) queue.ready.endTurn(stored)
      setImmediate(() => handOut(queue, now))
      // the copy that a retry stores names its attempt
      return stored !== undefined && !stored.wasHandedOut && stored.message.headers[HEADER.attempt] === undefined
    },

    async park(ref, message, why) {
      bury(queueOf(ref), message, { ...why, at: now() })
    },

    broadcast(topic, body) {
      if (isStopped) return
      const copy = Uint8Array.from(body)
      for (const listener of broker.topics.get(`${started().namespace} ${topic}`) ?? []) setImmediate(listener, copy)
    },

    async onBroadcast(topic, listener) {
      const key = `${open().namespace} ${topic}`
      const listeners = broker.topics.get(key) ?? new Set()
      broker.topics.set(key, listeners)
      const heard = (body: Uint8Array): void => guarded(() => listener(body))
      listeners.add(heard)
      const leave = (): void => {
        listeners.delete(heard)
        cleanups.delete(leave)
      }
      cleanups.add(leave)
      return leave
    },

    async stats(ref) {
      const queue = queueOf(ref)
      return {
        ready: queue.ready.size,
        dead: queue.dead.size,
        consumers: queue.consumers.size,
        delayed: queue.delayed.size,
        active: queue.held.size,
        isPaused: queue.isPaused,
      }
    },

    async purge(ref, what) {
      const queue = queueOf(ref)
      const count = { ready: queue.ready.size, delayed: queue.delayed.size, dead: queue.dead.size }[what]
      if (what === 'ready') queue.ready.clear()
      if (what === 'dead') queue.dead.clear()
      if (what === 'delayed') {
        for (const { stored, timer } of queue.delayed.values()) {
          timer.cancel()
          queue.ready.endTurn(stored)
        }
        queue.delayed.clear()
        setImmediate(() => handOut(queue, now))
      }
      return count
    },

    async setPaused(ref, isPaused) {
      const queue = queueOf(ref)
      queue.isPaused = isPaused
      setImmediate(() => handOut(queue, now))
    },

    deadLetters: (ref) => memoryLetters(queueOf(ref), now),
  }

  function started(): AdapterContext {
    if (context === undefined) throw new Error('the memory adapter was used before start()')
    return context
  }

  function open(): AdapterContext {
    if (isStopped) throw new CallError('CLOSED', `the adapter of memory:${name} was stopped`)
    return started()
  }

  /** What a callback throws ends in the log. */
  function guarded(callback: () => void): void {
    callListener(callback, (error) => context?.log('error', 'LISTENER', `a listener threw: ${messageOf(error)}`))
  }

  function publishOne(queue: MemoryQueue, message: Message): PublishOutcome {
    if (message.body.length > MAX_MESSAGE_BYTES)
      return {
        status: 'tooLarge',
        reason: `the body has ${message.body.length} bytes, at most ${MAX_MESSAGE_BYTES} are taken`,
      }
    if (isKnown(queue, message.id, now())) return { status: 'stored' }
    remember(queue, message.id, now())
    store(queue, { ...message, body: Uint8Array.from(message.body), headers: { ...message.headers } }, { now })
    return { status: 'stored' }
  }

  function subscriptionOf(queue: MemoryQueue, consumer: Consumer): Subscription {
    return {
      async pause() {
        consumer.isPaused = true
        await later()
      },
      resume() {
        consumer.isPaused = false
        setImmediate(() => handOut(queue, now))
      },
      async isStarved() {
        await later()
        const isOpen = queue.consumers.has(consumer) && !consumer.isPaused
        return isOpen && consumer.held < consumer.prefetch && !queue.isPaused && queue.ready.hasNext()
      },
      isQueuePaused: () => Promise.resolve(queue.isPaused),
      async stop() {
        queue.consumers.delete(consumer)
        await later()
      },
    }
  }
}

function later(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
