import type {
  AdapterContext,
  AdapterFactory,
  AdapterState,
  BrokerAdapter,
  PublishOutcome,
  ReplyOutcome,
} from '../../broker-adapters/adapter.ts'
import { BrokerError } from '../../protocol/errors.ts'
import type { Message, Reply } from '../../protocol/message.ts'
import { createGate, type Gate } from './eventually.ts'
import { createFaultyConsumer, type FaultyConsumer } from './faulty-consumer.ts'
import { createFaultyInbox, type FaultyInbox } from './faulty-inbox.ts'
import { createSeamEvents, type SeamEvents } from './seam-events.ts'

export type PublishFault =
  /** The broker took it, or never got it; nobody knows. */
  | { readonly outcome: 'unknown'; readonly isStored: boolean }
  | { readonly outcome: 'notSent' | 'refused' | 'unroutable' | 'tooLarge' }
  /** Stored at once, confirmed later. */
  | { readonly outcome: 'stored'; readonly after: Promise<unknown> }

export type ReplyFault =
  | { readonly outcome: 'unknown'; readonly isStored: boolean }
  | { readonly outcome: 'gone' }
  | { readonly outcome: 'stored'; readonly after: Promise<unknown> }

/** `hold`: until `letRepliesIn`. `lose`: never. */
export type IncomingFault = 'hold' | 'twice' | 'lose'

export interface FaultPlans {
  publish?: ((message: Message) => PublishFault | undefined) | undefined
  reply?: ((reply: Reply) => ReplyFault | undefined) | undefined
  incoming?: ((reply: Reply) => IncomingFault | undefined) | undefined
  /** The broker did not find it, so workers have to be told. */
  remove?: ((id: string) => 'miss' | undefined) | undefined
  /** The ack does not reach the broker, which hands the message over again. */
  ack?: ((message: Message) => 'lost' | undefined) | undefined
}

/** What a test does to one connection, and what it saw of it. */
export interface Faults {
  readonly events: SeamEvents
  /** Asked for each message that passes; set and replaced by the test. */
  readonly plans: FaultPlans
  /** As if the socket broke: deliveries are lost here and given back there, publishes under way end as unknown. */
  disconnect(): void
  /** Consumers and inboxes come back, what waited in the inboxes is handed over, then it is said. */
  reconnect(): Promise<void>
  /** The broker forgets the consumers of this connection, those that come too until it is undone. */
  mute(): void
  unmute(): void
  /** The broker takes nothing, as one does whose disk is full: what is published or replied now is held up until `unblock`. */
  block(): void
  unblock(): void
  /** The broker takes the held delivery of this message back and hands it over again. */
  redeliver(id: string): void
  /** Hands over the replies that were held back. */
  letRepliesIn(): void
}

export interface FaultyTarget {
  readonly target: AdapterFactory
  readonly faults: Faults
}

/** Puts a breakable wire between the core and any adapter. One connection per target. */
export function createFaultyTarget(inner: AdapterFactory): FaultyTarget {
  const events = createSeamEvents()
  const plans: FaultPlans = {}
  const wire = createWire()
  const consumers = new Set<FaultyConsumer>()
  const inboxes = new Set<FaultyInbox>()

  const faults: Faults = {
    events,
    plans,
    disconnect() {
      wire.cut()
      for (const consumer of consumers) consumer.lose()
    },
    async reconnect() {
      for (const consumer of consumers) await consumer.open()
      wire.mend()
      for (const consumer of consumers) consumer.letIn()
      for (const inbox of inboxes) inbox.letIn()
      wire.say('up')
    },
    mute() {
      wire.isMute = true
      for (const consumer of consumers) consumer.mute()
    },
    unmute: () => void (wire.isMute = false),
    block: () => wire.block(),
    unblock: () => wire.unblock(),
    redeliver(id) {
      for (const consumer of consumers) consumer.redeliver(id)
    },
    letRepliesIn() {
      for (const inbox of inboxes) inbox.letIn()
    },
  }
  const create = (): BrokerAdapter =>
    wrap(inner.create(), { events, plans, wire, consumers, inboxes, isUp: () => wire.isUp })
  return { target: { '~adapter': inner['~adapter'], url: inner.url, create }, faults }
}

export interface FaultParts {
  readonly events: SeamEvents
  readonly plans: FaultPlans
  readonly isUp: () => boolean
}

interface AllParts extends FaultParts {
  readonly wire: Wire
  readonly consumers: Set<FaultyConsumer>
  readonly inboxes: Set<FaultyInbox>
}

function wrap(inner: BrokerAdapter, parts: AllParts): BrokerAdapter {
  const { events, plans, wire } = parts
  const adapter: BrokerAdapter = {
    capabilities: inner.capabilities,
    start: (context) => inner.start(wire.listen(context)),
    async stop() {
      events.add({ kind: 'stop', id: '' })
      await inner.stop()
    },
    async declare(queue) {
      await wire.whenUp()
      await inner.declare(queue)
    },

    async publish(queue, messages) {
      for (const { id, headers } of messages) events.add({ kind: 'publish', id, headers })
      if (!wire.isUp) return messages.map(({ id }) => told(id, { status: 'notSent', reason: 'cut by the test' }))
      await wire.whenUnblocked()
      const wasCut = wire.nextCut()
      const planned = messages.map((message) => ({ message, fault: plans.publish?.(message) }))
      const passing = planned.filter(({ fault }) => reachesBroker(fault)).map(({ message }) => message)
      const stored = passing.length === 0 ? [] : await inner.publish(queue, passing)
      const byId = new Map(passing.map((message, index) => [message.id, stored[index]]))
      await Promise.race([confirmed(planned), wasCut])
      return planned.map(({ message, fault }) =>
        told(
          message.id,
          wire.isUp ? outcomeOf(fault, byId.get(message.id)) : { status: 'unknown', reason: 'cut by the test' },
        ),
      )
    },

    async consume(queue, options, onDelivery) {
      await wire.whenUp()
      events.add({ kind: 'consume', id: '' })
      const consumer = createFaultyConsumer(
        (receive) => inner.consume(queue, options, receive),
        { ...parts, onDelivery, isWaitedFor: async () => (await inner.stats(queue)).ready > 0 },
        () => parts.consumers.delete(consumer),
      )
      parts.consumers.add(consumer)
      if (wire.isMute) consumer.mute()
      await consumer.open()
      return consumer.subscription
    },

    async openInbox(options, onReply) {
      await wire.whenUp()
      events.add({ kind: 'openInbox', id: '' })
      const inbox = createFaultyInbox(parts, onReply)
      parts.inboxes.add(inbox)
      const opened = await inner.openInbox(options, (reply, done) => inbox.receive(reply, done))
      return {
        address: opened.address,
        close() {
          events.add({ kind: 'closeInbox', id: '' })
          parts.inboxes.delete(inbox)
          return opened.close()
        },
      }
    },

    async openMailbox(callId, options, onReply) {
      await wire.whenUp()
      const inbox = createFaultyInbox(parts, onReply)
      parts.inboxes.add(inbox)
      const opened = await inner.openMailbox(callId, options, (reply) => inbox.receive(reply, () => {}))
      return {
        ...opened,
        close() {
          parts.inboxes.delete(inbox)
          return opened.close()
        },
      }
    },

    async reply(address, replies) {
      for (const { correlationId: id, type } of replies) events.add({ kind: 'reply', id, detail: type })
      if (!wire.isUp) return replies.map(({ correlationId }) => answered(correlationId, 'unknown'))
      await wire.whenUnblocked()
      const wasCut = wire.nextCut()
      const planned = replies.map((reply) => ({ reply, fault: plans.reply?.(reply) }))
      const passing = planned.filter(({ fault }) => reachesBroker(fault)).map(({ reply }) => reply)
      const stored = passing.length === 0 ? [] : await inner.reply(address, passing)
      const byReply = new Map(passing.map((reply, index) => [reply, stored[index]]))
      await Promise.race([confirmed(planned), wasCut])
      return planned.map(({ reply, fault }) =>
        answered(
          reply.correlationId,
          !wire.isUp
            ? 'unknown'
            : fault === undefined || fault.outcome === 'stored'
              ? (byReply.get(reply) ?? 'unknown')
              : fault.outcome,
        ),
      )
    },

    async park(queue, message, why) {
      wire.assertUp()
      await inner.park(queue, message, why)
    },
    broadcast(topic, body) {
      events.add({ kind: 'broadcast', id: '', detail: topic })
      if (wire.isUp) inner.broadcast(topic, body)
    },
    async onBroadcast(topic, listener) {
      await wire.whenUp()
      return inner.onBroadcast(topic, (body) => wire.isUp && listener(body))
    },
    async stats(queue) {
      events.add({ kind: 'stats', id: '' })
      wire.assertUp()
      return inner.stats(queue)
    },
    setPaused: (queue, isPaused) => inner.setPaused(queue, isPaused),
    async purge(queue, what) {
      wire.assertUp()
      return inner.purge(queue, what)
    },
    deadLetters: (queue) => inner.deadLetters(queue),
  }
  if (inner.remove === undefined) return adapter
  return {
    ...adapter,
    async remove(queue, id) {
      wire.assertUp()
      if (plans.remove?.(id) === 'miss') return false
      return (await inner.remove?.(queue, id)) ?? false
    },
  }

  function told(id: string, outcome: PublishOutcome): PublishOutcome {
    events.add({ kind: 'outcome', id, detail: outcome.status })
    return outcome
  }
  function answered(id: string, outcome: ReplyOutcome): ReplyOutcome {
    events.add({ kind: 'replyOutcome', id, detail: outcome })
    return outcome
  }
}

function reachesBroker(fault: PublishFault | ReplyFault | undefined): boolean {
  return fault === undefined || fault.outcome === 'stored' || (fault.outcome === 'unknown' && fault.isStored)
}

/** Resolves when the last of them may be told. */
async function confirmed(planned: readonly { readonly fault: PublishFault | ReplyFault | undefined }[]): Promise<void> {
  await Promise.all(planned.flatMap(({ fault }) => (fault?.outcome === 'stored' ? [fault.after] : [])))
}

function outcomeOf(fault: PublishFault | undefined, real: PublishOutcome | undefined): PublishOutcome {
  if (fault === undefined || fault.outcome === 'stored') return real ?? { status: 'unknown' }
  return { status: fault.outcome, reason: 'so says the test' }
}

/** The connection as the core sees it: the adapter's own state, unless the test says otherwise. */
interface Wire {
  readonly isUp: boolean
  isMute: boolean
  cut(): void
  mend(): void
  block(): void
  unblock(): void
  whenUnblocked(): Promise<void>
  say(state: AdapterState): void
  listen(context: AdapterContext): AdapterContext
  whenUp(): Promise<void>
  nextCut(): Promise<void>
  assertUp(): void
}

function createWire(): Wire {
  let isUp = true
  let context: AdapterContext | undefined
  let mended: Gate = createGate()
  let broken: Gate = createGate()
  let unblocked: Gate = createGate()
  mended.open()
  unblocked.open()
  return {
    get isUp() {
      return isUp
    },
    isMute: false,
    cut() {
      isUp = false
      mended = createGate()
      broken.open()
      context?.onState('down', 'cut by the test')
    },
    mend() {
      isUp = true
      broken = createGate()
      mended.open()
    },
    block() {
      unblocked = createGate()
      context?.onState('blocked')
    },
    unblock() {
      unblocked.open()
      context?.onState('up')
    },
    whenUnblocked: () => unblocked.opened,
    say: (state) => context?.onState(state),
    listen(given) {
      context = given
      return { ...given, onState: (state, reason) => isUp && given.onState(state, reason) }
    },
    whenUp: () => mended.opened,
    nextCut: () => broken.opened,
    assertUp() {
      if (!isUp) throw new BrokerError('BROKER_UNAVAILABLE', 'cut by the test')
    },
  }
}
