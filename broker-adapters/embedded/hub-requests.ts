import { HEADER } from '../../protocol/headers.ts'
import type { QueueStats } from '../adapter.ts'
import { readMessage } from './envelope.ts'
import { MIN_FREE_BYTES, type DiskSpace } from './disk-space.ts'
import type { GroupCommit } from './group-commit.ts'
import type { HubConnection } from './hub-connection.ts'
import type { Handler, HandlerTools } from './hub-handlers.ts'
import type { HubInboxes } from './hub-inboxes.ts'
import { letterHandlers } from './hub-letter-requests.ts'
import type { HubLetters } from './hub-letters.ts'
import type { HubMailboxes } from './hub-mailboxes.ts'
import type { HubMessages } from './hub-messages.ts'
import { hasFreeCredit, type Entry, type HubQueue, type HubSubscription } from './hub-queue.ts'
import { replyHandlers } from './hub-reply-requests.ts'
import type { Topics } from './hub-topics.ts'
import { readPlacing } from './placing.ts'
import { blobOfMessage, encodeQueueRecord } from './records.ts'
import { fieldsOf, FLOW, OP, PUBLISH_STATUS, type FrameReader } from './wire.ts'

/** What a connected process asks for. Throws RangeError for what is no request. */
export interface HubRequests {
  handle(connection: HubConnection, op: number, fields: FrameReader): void
  /** The connection is gone: what it held goes back, in order, at once. */
  drop(connection: HubConnection): void
}

export interface HubRequestsOptions {
  readonly commit: GroupCommit
  readonly messages: HubMessages
  readonly letters: HubLetters
  readonly inboxes: HubInboxes
  readonly mailboxes: HubMailboxes
  readonly topics: Topics
  readonly maxBytes: number
  readonly disk: Pick<DiskSpace, 'leftAfter'>
  readonly now: () => number
  readonly markWritten: (connection: HubConnection) => void
}

const STATUS = { stored: 0, unroutable: 1, tooLarge: 2, refused: 3 } as const satisfies Partial<
  Record<(typeof PUBLISH_STATUS)[number], number>
>

/** The fewest bytes that one entry has; see wire.ts. */
const MIN_BYTES = { message: 22, tag: 12 } as const

export function createHubRequests(options: HubRequestsOptions): HubRequests {
  const { commit, messages, topics, now, markWritten } = options
  const tools: HandlerTools = { answer, queueOf, ensureQueue }

  function answer(connection: HubConnection, seq: number, number?: number): void {
    const writer = connection.writer.begin(OP.ANSWER).u32(seq)
    if (number !== undefined) writer.u32(number)
    writer.end()
    markWritten(connection)
  }
  function queueOf(name: string): HubQueue | undefined {
    return messages.queues.get(name)
  }
  function refusal(bytes: number): string {
    if (messages.storedBytes + bytes > options.maxBytes) {
      return `the directory holds ${messages.storedBytes} bytes, maxBytes is ${options.maxBytes}`
    }
    const left = options.disk.leftAfter(bytes)
    return left < MIN_FREE_BYTES ? diskRefusal(left) : ''
  }

  function declare(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    ensureQueue(fields.name())
    commit.afterwards(() => answer(connection, seq))
  }
  function ensureQueue(name: string): HubQueue {
    const existing = queueOf(name)
    if (existing !== undefined) return existing
    const queue = messages.makeQueue(name, messages.queues.size + 1)
    commit.putName('queues', name, encodeQueueRecord(queue))
    return queue
  }
  function setPaused(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = ensureQueue(fields.name())
    const isPaused = fields.u8() === 1
    commit.putName('queues', queue.name, encodeQueueRecord({ number: queue.number, isPaused }))
    commit.afterwards(() => {
      queue.isPaused = isPaused
      messages.markDirty(queue)
      answer(connection, seq)
    })
  }

  function publish(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    const statuses = new Uint8Array(fields.count(MIN_BYTES.message))
    const added: Entry[] = []
    const published: { readonly id: string; readonly generation: string }[] = []
    let reason = ''
    const at = now()
    for (let index = 0; index < statuses.length; index++) {
      const id = fields.name()
      const generation = fields.name(0)
      const delayMs = fields.num()
      const expiresInMs = fields.num()
      const placing = readPlacing(fields)
      const blob = fields.view()
      published.push({ id, generation })
      const refused = queue === undefined ? '' : refusal(blob.length)
      if (queue === undefined) statuses[index] = STATUS.unroutable
      else if (refused !== '') {
        statuses[index] = STATUS.refused
        reason = refused
      } else {
        const expiresAt = expiresInMs > 0 ? at + expiresInMs : 0
        const dueAt = delayMs > 0 ? at + delayMs : 0
        const entry = messages.add(queue, { id, generation, dueAt, expiresAt, placing, blob })
        if (entry !== undefined) added.push(entry)
      }
    }
    const answerAll = (): void => {
      connection.writer.begin(OP.ANSWER).u32(seq).bytes(statuses).str(reason).end()
      markWritten(connection)
    }
    if (queue === undefined || statuses.every((status) => status === STATUS.refused)) return answerAll()
    // A duplicate waits for the commit too: the first copy may be in it.
    const place = (): void => {
      for (const entry of added) messages.place(entry)
      answerAll()
    }
    const refuse = (): number[] => {
      for (const entry of added) messages.refuse(entry)
      for (const [index, { id, generation }] of published.entries()) {
        if (!messages.knows(queue, id, generation)) statuses[index] = STATUS.refused
      }
      reason ||= diskRefusal(0)
      answerAll()
      return added.map((entry) => entry.sequence)
    }
    commit.afterwards(place, refuse)
  }

  function consume(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const number = fields.u32()
    const queue = ensureQueue(fields.name())
    const prefetch = fields.u32()
    const flow = fields.u8()
    const isStopped = flow === FLOW.stop
    const subscription = { connection, number, queue, prefetch, held: 0, isPaused: flow !== FLOW.resume, isStopped }
    connection.subscriptions.set(number, subscription)
    if (!isStopped) queue.subscriptions.push(subscription)
    const kept = new Uint8Array(fields.count(MIN_BYTES.tag))
    for (let index = 0; index < kept.length; index++) {
      if (messages.resume(subscription, fields.num(), fields.u32())) kept[index] = 1
    }
    messages.markDirty(queue)
    connection.writer.begin(OP.ANSWER).u32(seq).bytes(kept).end()
    markWritten(connection)
  }
  function flow(connection: HubConnection, fields: FrameReader): void {
    const subscription = connection.subscriptions.get(fields.u32())
    const wanted = fields.u8()
    if (subscription === undefined) return
    subscription.isPaused = wanted !== FLOW.resume
    if (wanted === FLOW.stop) leaveQueue(subscription)
    messages.markDirty(subscription.queue)
  }
  function leaveQueue(subscription: HubSubscription): void {
    subscription.isStopped = true
    const at = subscription.queue.subscriptions.indexOf(subscription)
    if (at >= 0) subscription.queue.subscriptions.splice(at, 1)
  }

  function eachHeld(connection: HubConnection, fields: FrameReader, then: (entry: Entry) => void): void {
    const count = fields.count(MIN_BYTES.tag)
    for (let index = 0; index < count; index++) {
      const entry = messages.heldBy(connection, fields.num(), fields.u32())
      if (entry !== undefined) then(entry)
    }
  }
  function ack(connection: HubConnection, fields: FrameReader): void {
    const count = fields.count(MIN_BYTES.tag)
    for (let index = 0; index < count; index++) {
      const sequence = fields.num()
      const entry = messages.heldBy(connection, sequence, fields.u32())
      if (entry === undefined) messages.acknowledge(connection, sequence)
      else messages.settle(entry, 'sometime')
    }
  }
  function retry(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const replaces = messages.heldBy(connection, fields.num(), fields.u32())
    const delayMs = fields.num()
    const blob = fields.view()
    if (replaces === undefined) return answer(connection, seq)
    const { id, queue, turnKey, isHigh } = replaces
    const generation = replaces.key.slice(id.length + 1)
    const copy = messages.add(queue, {
      id,
      generation,
      dueAt: delayMs > 0 ? now() + delayMs : 0,
      expiresAt: 0,
      placing: { turnKey, isHigh, hasTurn: turnKey !== undefined },
      blob,
      replaces,
    })
    messages.settle(replaces, 'soon', false)
    commit.afterwards(() => {
      if (copy !== undefined) messages.place(copy)
      answer(connection, seq)
    })
  }
  function remove(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const entry = queueOf(fields.str())?.byId.get(fields.str())
    if (entry?.state !== 'ready' && entry?.state !== 'delayed') return answer(connection, seq, 0)
    const isProof = wasNeverHandedOut(entry) // read before it is gone
    messages.settle(entry, 'soon')
    commit.afterwards(() => answer(connection, seq, isProof ? 1 : 0))
  }
  /** Nor is it the copy that a retry stores, which names its attempt. */
  function wasNeverHandedOut(entry: Entry): boolean {
    const record = messages.record(entry)
    if (entry.grants > 0 || record === undefined) return false
    return readMessage(entry.id, fieldsOf(blobOfMessage(record))).headers[HEADER.attempt] === undefined
  }
  function purge(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    const what = fields.str()
    const waiting = queue === undefined || what === 'dead' ? [] : queue.waiting(what === 'ready' ? 'ready' : 'delayed')
    for (const entry of waiting) messages.settle(entry, 'soon')
    const dead = queue !== undefined && what === 'dead' ? options.letters.purge(queue, {}) : 0
    commit.afterwards(() => answer(connection, seq, waiting.length + dead))
  }
  function stats(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const queue = queueOf(fields.str())
    connection.writer
      .begin(OP.ANSWER)
      .u32(seq)
      .str(JSON.stringify(statsOf(queue)))
      .end()
    markWritten(connection)
  }
  const handlers = new Map<number, Handler>([
    [OP.DECLARE, declare],
    [OP.SET_PAUSED, setPaused],
    [OP.PUBLISH, publish],
    [OP.CONSUME, consume],
    [OP.FLOW, flow],
    [OP.ACK, ack],
    [OP.RELEASE, (connection, fields) => eachHeld(connection, fields, messages.release)],
    [OP.RETRY, retry],
    [OP.REMOVE, remove],
    [OP.BROADCAST, (_connection, fields) => topics.send(fields.str(), fields.view())],
    [OP.LISTEN, listen],
    [OP.UNLISTEN, (connection, fields) => topics.unlisten(connection, fields.str())],
    [OP.STATS, stats],
    [OP.PURGE, purge],
    [OP.STARVED, starved],
    [OP.BYE, bye],
    ...letterHandlers({ ...options, tools }),
    ...replyHandlers(options),
  ])
  function starved(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    const subscription = connection.subscriptions.get(fields.u32())
    const isWaiting = queueOf(fields.str())?.hasNext() ?? false
    answer(connection, seq, isWaiting && (subscription === undefined || hasFreeCredit(subscription)) ? 1 : 0)
  }
  function listen(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    topics.listen(connection, fields.name())
    answer(connection, seq)
  }
  /** It goes: what it held is back when it hears that it may, and what it asked before is stored. */
  function bye(connection: HubConnection, fields: FrameReader): void {
    const seq = fields.u32()
    for (const entry of connection.held) messages.release(entry)
    drop(connection)
    commit.afterwards(() => answer(connection, seq))
  }
  function drop(connection: HubConnection): void {
    for (const subscription of connection.subscriptions.values()) {
      leaveQueue(subscription)
      messages.markDirty(subscription.queue)
    }
    for (const entry of connection.held) messages.giveBack(entry)
    options.inboxes.detach(connection)
    options.mailboxes.detach(connection)
    topics.drop(connection)
  }

  return {
    handle(connection, op, fields) {
      const handler = handlers.get(op)
      if (handler === undefined) throw new RangeError(`op ${op}`)
      handler(connection, fields)
    },
    drop,
  }
}

function statsOf(queue: HubQueue | undefined): QueueStats {
  if (queue === undefined) return { ready: 0, dead: 0, consumers: 0, delayed: 0, active: 0, isPaused: false }
  return {
    ready: queue.readyCount,
    dead: queue.letters.size,
    consumers: queue.subscriptions.length,
    delayed: queue.delayedCount,
    active: queue.activeCount,
    isPaused: queue.isPaused,
  }
}

function diskRefusal(left: number): string {
  return `the disk has ${Math.max(left, 0)} bytes left, and ${MIN_FREE_BYTES} are kept for settling what is stored: make room`
}
