import { randomUUID } from 'node:crypto'
import { BrokerError } from '../../protocol/errors.ts'
import { isFinalReply, type Message, type QueueRef, type Reply } from '../../protocol/message.ts'
import { queueName } from '../../protocol/queue-names.ts'
import type { AdapterContext, BrokerAdapter, PublishOutcome } from '../adapter.ts'
import { createGuard } from '../call-listener.ts'
import { createAsk, type Ask } from './ask.ts'
import { askStats } from './ask-stats.ts'
import { createDeliveries, type Deliveries } from './deliveries.ts'
import { writeMessage, writeReply } from './envelope.ts'
import { listLetters, purgeLetters, replayLetters } from './letters.ts'
import { createLink, type Link } from './link.ts'
import { mailboxName } from './mailbox-records.ts'
import { createMailboxes, type Mailboxes } from './mailboxes.ts'
import { createListeners, type Listeners } from './listeners.ts'
import type { ResolvedEmbeddedOptions } from './options.ts'
import { placingOf, writePlacing } from './placing.ts'
import { DEDUPE_MS } from './recent-ids.ts'
import { createReplyInboxes, type ReplyInboxes } from './reply-inboxes.ts'
import { createStandingSet, type StandingSet } from '../standing.ts'
import { OP, PUBLISH_STATUS, REPLY_KIND, REPLY_STATUS, type FrameReader, type ReplyKind } from './wire.ts'

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** What there is from `start` to `stop`. */
interface Running {
  readonly context: AdapterContext
  readonly link: Link
  readonly ask: Ask
  readonly standings: StandingSet
  readonly deliveries: Deliveries
  readonly inboxes: ReplyInboxes
  readonly mailboxes: Mailboxes
  readonly listeners: Listeners
  readonly isUp: () => boolean
}

/** The embedded broker: a directory, of which one process at a time keeps the queues for all. */
export function createEmbeddedAdapter(options: ResolvedEmbeddedOptions): BrokerAdapter {
  let running: Running | undefined
  let started: Promise<void> | undefined
  let stopped: Promise<void> | undefined
  const declared = new Map<string, Promise<void>>()

  function current(): Running {
    if (running === undefined) throw new BrokerError('BROKER_UNAVAILABLE', `file:${options.dir} is not started`)
    return running
  }
  function nameOf(queue: QueueRef): string {
    return queueName(current().context.namespace, queue)
  }

  return {
    capabilities: {
      removesQueued: true,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: DEDUPE_MS,
      maxKeepMs: 31_536_000_000,
      ackTimeoutMs: undefined,
      recoveryMs: 0,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      storedMeans: options.durability === 'disk' ? 'disk' : 'page cache',
    },
    start(context) {
      started ??= (() => {
        running = assemble(options, context)
        return running.link.start()
      })()
      return started
    },
    stop() {
      stopped ??= stop(running)
      return stopped
    },
    async declare(queue) {
      const name = nameOf(queue)
      const { ask, standings } = current()
      const ready =
        declared.get(name) ?? standings.add({ establish: () => ask(OP.DECLARE, (writer) => writer.str(name), nothing) })
      declared.set(name, ready)
      await ready
    },
    publish: (queue, messages) => publish(current(), { name: nameOf(queue), features: queue.features }, messages),
    async consume(queue, { prefetch }, onDelivery) {
      return current().deliveries.consume(nameOf(queue), prefetch, onDelivery)
    },
    async openInbox(inboxOptions, onReply) {
      const { context, inboxes } = current()
      const address = `${context.namespace}.i.${context.processId}.${randomUUID().slice(0, 8)}`
      return inboxes.open(address, inboxOptions, onReply)
    },
    reply: (address, replies) => reply(current(), address, replies),
    async remove(queue, id) {
      const name = nameOf(queue)
      return (await current().ask(OP.REMOVE, (writer) => writer.str(name).str(id), readNumber)) === 1
    },
    async park(queue, message, { code, reason, attempts }) {
      const name = nameOf(queue)
      await current().ask(
        OP.PARK,
        (writer) => {
          writer.str(name).str(message.id).str(code).str(reason).u32(attempts)
          writeMessage(writer, message, message.headers)
        },
        nothing,
      )
    },
    broadcast(topic, body) {
      const { context, listeners } = current()
      listeners.send(`${context.namespace}.${topic}`, body)
    },
    async onBroadcast(topic, listener) {
      const { context, listeners } = current()
      return listeners.listen(`${context.namespace}.${topic}`, listener)
    },
    async stats(queue) {
      const name = nameOf(queue)
      return askStats(current().ask, name)
    },
    async openMailbox(callId, { createForMs }, onReply) {
      const { context, mailboxes } = current()
      return mailboxes.open(mailboxName(context.namespace, callId), createForMs, onReply)
    },
    async setPaused(queue, isPaused) {
      const name = nameOf(queue)
      await current().ask(OP.SET_PAUSED, (writer) => writer.str(name).u8(isPaused ? 1 : 0), nothing)
    },
    async purge(queue, what) {
      const name = nameOf(queue)
      return current().ask(OP.PURGE, (writer) => writer.str(name).str(what), readNumber)
    },
    deadLetters(queue) {
      const name = nameOf(queue)
      const { ask } = current()
      return {
        list: (filter) => listLetters(ask, name, filter ?? {}),
        replay: (filter) => replayLetters(ask, { name, features: queue.features }, filter),
        purge: (filter) => purgeLetters(ask, name, filter),
      }
    },
  }
}

function assemble(options: ResolvedEmbeddedOptions, context: AdapterContext): Running {
  let isUp = false
  const guard = createGuard(context.log)
  const session = randomUUID()
  const link = createLink({
    options,
    session,
    log: context.log,
    onFrame,
    async onConnected() {
      // All at once, in this order on the wire: consumers resume what they held, then the rest goes back.
      const established = standings.establishAll()
      link.writer.begin(OP.RESUMED).end()
      link.flushSoon()
      await established
      deliveries.onEstablished()
    },
    onDisconnected() {
      isUp = false
      deliveries.onDisconnected()
    },
    onUp() {
      isUp = true
      guard('onState', () => context.onState('up'))
    },
    onDown: (why) => guard('onState', () => context.onState('down', why)),
    onRefused: (why) => guard('onState', () => context.onState('refused', why)),
    beforeFlush() {
      deliveries.writeCollected(link.writer)
      inboxes.writeCollected(link.writer)
    },
  })
  const ask = createAsk(link, () => `file:${options.dir}`)
  const standings = createStandingSet(() => link.isConnected)
  const parts = { link, ask, standings, guard }
  const deliveries = createDeliveries(parts)
  const inboxes = createReplyInboxes(parts)
  const mailboxes = createMailboxes({ ...parts, session })
  const listeners = createListeners(parts)

  function onFrame(op: number, fields: FrameReader): void {
    if (op === OP.DELIVER) deliveries.onDeliver(fields)
    else if (op === OP.REPLIED) inboxes.onReplied(fields)
    else if (op === OP.MAILED) mailboxes.onMailed(fields)
    else if (op === OP.BROADCAST) listeners.onBroadcast(fields)
  }
  return { context, link, ask, standings, deliveries, inboxes, mailboxes, listeners, isUp: () => isUp }
}

/** In order: what was settled reaches the hub, the connection ends, waiting promises end, a hub of this process hands over. */
async function stop(running: Running | undefined): Promise<void> {
  if (running === undefined) return
  running.standings.stop()
  await running.link.stop()
  running.deliveries.stop()
}

async function publish(
  { link, isUp }: Running,
  queue: Pick<QueueRef, 'features'> & { readonly name: string },
  messages: readonly Message[],
): Promise<readonly PublishOutcome[]> {
  if (!isUp()) return messages.map(() => ({ status: 'notSent' }))
  const sent = messages.some(isTooLarge) ? messages.filter((message) => !isTooLarge(message)) : messages
  if (sent.length === 0) return messages.map(() => TOO_LARGE)
  const outcomes = await new Promise<readonly PublishOutcome[]>((resolve) => {
    const seq = link.expect({
      onAnswer: (fields) => resolve(readOutcomes(fields)),
      onLost: () => resolve(sent.map(() => ({ status: 'unknown' }))),
    })
    const writer = link.writer.begin(OP.PUBLISH).u32(seq).str(queue.name).u32(sent.length)
    for (const message of sent) {
      writer.str(message.id).str(message.headers['rt-replay'] ?? '')
      writer.num(message.delayMs ?? 0).num(message.expiresInMs ?? 0)
      writePlacing(writer, placingOf(queue.features, message.headers))
      writeMessage(writer, message, message.headers)
    }
    writer.end()
    link.flushSoon()
  })
  if (sent === messages) return outcomes
  const next = outcomes.values()
  return messages.map((message) => (isTooLarge(message) ? TOO_LARGE : (next.next().value ?? { status: 'unknown' })))
}

function isTooLarge({ body }: Message): boolean {
  return body.length > MAX_MESSAGE_BYTES
}

const TOO_LARGE: PublishOutcome = Object.freeze({
  status: 'tooLarge',
  reason: `the embedded broker takes ${MAX_MESSAGE_BYTES} bytes at most`,
})
const STORED: PublishOutcome = Object.freeze({ status: 'stored' })

function readOutcomes(fields: FrameReader): PublishOutcome[] {
  const statuses = fields.view()
  const reason = fields.str()
  const outcomes: PublishOutcome[] = []
  for (const number of statuses) {
    const status = PUBLISH_STATUS[number] ?? 'unknown'
    if (status === 'stored') outcomes.push(STORED)
    else outcomes.push(status === 'refused' ? { status, reason } : { status })
  }
  return outcomes
}

async function reply(
  { link, deliveries, isUp }: Running,
  address: string,
  replies: readonly Reply[],
): Promise<readonly ('stored' | 'gone' | 'unknown')[]> {
  if (!isUp()) return replies.map(() => 'unknown')
  return new Promise((resolve) => {
    const seq = link.expect({
      onAnswer(fields) {
        const statuses = fields.view()
        resolve(replies.map(({ correlationId }, index) => readReplyStatus(deliveries, correlationId, statuses[index])))
      },
      onLost: () => resolve(replies.map(() => 'unknown')),
    })
    const writer = link.writer.begin(OP.REPLY).u32(seq).str(address).u32(replies.length)
    for (const one of replies) {
      writer.str(one.correlationId).u8(REPLY_KIND.indexOf(kindOf(one)))
      writeReply(writer, one)
    }
    writer.end()
    link.flushSoon()
  })
}

function kindOf({ type }: Reply): ReplyKind {
  if (!isFinalReply(type)) return 'on the way'
  return type === 'error' ? 'error' : 'result'
}

function readReplyStatus(
  deliveries: Deliveries,
  correlationId: string,
  number: number | undefined,
): 'stored' | 'gone' | 'unknown' {
  const status = number === undefined ? undefined : REPLY_STATUS[number]
  if (status !== 'settled') return status ?? 'unknown'
  deliveries.onSettledByReply(correlationId)
  return 'stored'
}

function readNumber(fields: FrameReader): number {
  return fields.u32()
}

function nothing(): void {}
