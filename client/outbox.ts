import type { BrokerAdapter, PublishOutcome } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { BrokerError, CallError, messageOf, ReplytoError } from '../protocol/errors.ts'
import { HEADER } from '../protocol/headers.ts'
import type { Message } from '../protocol/message.ts'
import { detailsOf, failed, type CallState } from './call-state.ts'
import type { CountClient } from './client-counters.ts'
import { createLane, type Lane, type OutboxEntry } from './outbox-lane.ts'

/**
 * What is not yet known to be stored: one bounded list for all queues. It alone publishes and it alone publishes again:
 * a message whose outcome is unknown goes out once more, unchanged but for a header, when the broker is up again.
 * Later coalescing into frames belongs in `takeBatch` of outbox-lane.ts.
 */
export interface Outbox {
  /** @throws CallError OVERLOADED */
  add(state: CallState, message: Omit<Message, 'replyTo'>): void
  /** The call needs no (further) publish: it was answered or gave up. */
  drop(state: CallState): void
  /** Publishes what waits, for example because the inbox is open now. */
  flush(): void
  close(): void
}

export interface OutboxOptions {
  readonly core: BrokerCore
  readonly limits: { readonly calls: number; readonly bytes: number }
  /** Undefined while it is not open: calls wait, sends do not. */
  readonly inboxAddress: () => string | undefined
  readonly count: CountClient
  /** The broker has stored it. */
  readonly onStored: (state: CallState) => void
}

/** Publishes whose outcome is not known yet, over all queues. */
const MAX_IN_FLIGHT = 8192
/** Where an outcome tells to try again although the connection is up. */
const RETRY_MS = 100
const MAX_UNROUTABLE = 3

export function createOutbox({ core, limits, inboxAddress, count, onStored }: OutboxOptions): Outbox {
  const entries = new Map<string, OutboxEntry>()
  const lanes = new Map<string, Lane>()
  let bytes = 0
  let inFlight = 0
  let isFlushing = false
  let retryTimer: NodeJS.Timeout | undefined
  const stopListening = core.onState((state) => state === 'up' && scheduleFlush())
  // The first 'up' is said before `core.connected` is there. A refusal ends every call from one place, see create-client.ts.
  core.adapter.then(scheduleFlush, () => {})

  return {
    add(state, message) {
      const size = message.body.length + 200
      if (entries.size >= limits.calls || bytes + size > limits.bytes) {
        count('overloaded')
        throw new CallError(
          'OVERLOADED',
          `the outbox holds ${entries.size} messages of ${bytes} bytes that ${core.url} has not confirmed`,
          detailsOf(state),
        )
      }
      const entry: OutboxEntry = { state, message, size, isDropped: false, unroutable: 0 }
      entries.set(state.id, entry)
      bytes += size
      laneOf(state).push(entry)
      scheduleFlush()
    },

    drop: (state) => forget(entries.get(state.id)),
    flush: scheduleFlush,
    close() {
      stopListening()
      clearTimeout(retryTimer)
      for (const entry of entries.values()) entry.isDropped = true
      entries.clear()
    },
  }

  function laneOf({ target }: CallState): Lane {
    let lane = lanes.get(target.queueName)
    if (lane === undefined) {
      lane = createLane(target.queue)
      lanes.set(target.queueName, lane)
    }
    return lane
  }

  /** Alone, a call leaves at the end of this turn; what is made in the same turn leaves with it. */
  function scheduleFlush(): void {
    if (isFlushing) return
    isFlushing = true
    queueMicrotask(() => {
      isFlushing = false
      flush()
    })
  }

  function flush(): void {
    const adapter = core.connected
    if (adapter === undefined || core.state !== 'up') return
    for (const lane of lanes.values()) {
      if (lane.size > 0) void flushLane(lane, adapter)
    }
  }

  async function flushLane(lane: Lane, adapter: BrokerAdapter): Promise<void> {
    if (!lane.isDeclared && !(await declare(lane, adapter))) return
    for (;;) {
      const batch = lane.takeBatch({ room: MAX_IN_FLIGHT - inFlight, canCall: inboxAddress() !== undefined })
      if (batch.length === 0) return
      void publish(lane, adapter, batch)
    }
  }

  async function declare(lane: Lane, adapter: BrokerAdapter): Promise<boolean> {
    try {
      await lane.declare(adapter)
      return true
    } catch (error) {
      if (error instanceof ReplytoError && error.code === 'BROKER_REFUSED') failLane(lane, error)
      else scheduleRetry()
      return false
    }
  }

  function failLane(lane: Lane, error: ReplytoError): void {
    for (const { state } of lane.takeBatch({ room: Infinity, canCall: true })) {
      state.settle(failed(new BrokerError('BROKER_REFUSED', messageOf(error), detailsOf(state, { cause: error }))))
    }
  }

  async function publish(lane: Lane, adapter: BrokerAdapter, batch: readonly OutboxEntry[]): Promise<void> {
    inFlight += batch.length
    const messages = batch.map(toMessage)
    for (const { state } of batch) state.copies++
    const outcomes = await publishSafely(lane, adapter, messages)
    inFlight -= batch.length
    const again = batch.filter((entry, index) => wantsAnother(lane, entry, outcomes[index] ?? UNKNOWN))
    if (again.length > 0) {
      lane.putBack(again)
      scheduleRetry()
    } else if (entries.size > 0) scheduleFlush()
  }

  function toMessage({ state, message }: OutboxEntry): Message {
    const replyTo = state.kind === 'call' ? inboxAddress() : undefined
    if (state.copies === 0) return { ...message, replyTo }
    count('resent')
    return { ...message, replyTo, headers: { ...message.headers, [HEADER.resent]: '1' } }
  }

  /** An adapter promises not to reject; if it does all the same, nothing is known. */
  async function publishSafely(
    lane: Lane,
    adapter: BrokerAdapter,
    messages: readonly Message[],
  ): Promise<readonly PublishOutcome[]> {
    try {
      return await adapter.publish(lane.queue, messages)
    } catch (error) {
      core.log('error', 'ADAPTER', `publish rejected: ${messageOf(error)}`)
      return []
    }
  }

  /** Acts on an outcome; true: the message has to be published (again). */
  function wantsAnother(lane: Lane, entry: OutboxEntry, outcome: PublishOutcome): boolean {
    const { state } = entry
    if (isProvedNotStored(outcome)) state.copies--
    if (entry.isDropped) return false
    switch (outcome.status) {
      case 'stored':
        forget(entry)
        onStored(state)
        return false
      case 'unknown':
        return !failsFast(entry, outcome)
      case 'notSent':
        return !failsFast(entry, outcome)
      case 'unroutable':
        lane.isDeclared = false
        return (
          ++entry.unroutable < MAX_UNROUTABLE ||
          refuse(
            entry,
            new BrokerError(
              'BROKER_REFUSED',
              `the queue cannot be reached: ${outcome.reason ?? 'no reason given'}`,
              detailsOf(state),
            ),
          )
        )
      case 'tooLarge':
        return refuse(
          entry,
          new CallError(
            'PAYLOAD_TOO_LARGE',
            `${core.url} does not take a message of ${entry.message.body.length} bytes: ${outcome.reason ?? 'no reason given'}`,
            detailsOf(state),
          ),
        )
      case 'refused':
        return refuse(
          entry,
          new BrokerError(
            'BROKER_REFUSED',
            `the broker did not store it: ${outcome.reason ?? 'no reason given'}`,
            detailsOf(state),
          ),
        )
    }
  }

  function failsFast(entry: OutboxEntry, { reason }: PublishOutcome): boolean {
    if (!entry.state.failFast) return false
    refuse(
      entry,
      new BrokerError(
        'BROKER_UNAVAILABLE',
        `${core.url} is away${reason === undefined ? '' : `: ${reason}`}`,
        detailsOf(entry.state),
      ),
    )
    return true
  }

  function refuse(entry: OutboxEntry, error: ReplytoError): false {
    forget(entry)
    entry.state.settle(failed(error))
    return false
  }

  function forget(entry: OutboxEntry | undefined): void {
    if (entry === undefined || entry.isDropped) return
    entry.isDropped = true
    entries.delete(entry.state.id)
    bytes -= entry.size
  }

  function scheduleRetry(): void {
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined
      flush()
    }, RETRY_MS)
  }
}

const UNKNOWN: PublishOutcome = { status: 'unknown' }

function isProvedNotStored({ status }: PublishOutcome): boolean {
  return status === 'notSent' || status === 'unroutable' || status === 'tooLarge'
}
