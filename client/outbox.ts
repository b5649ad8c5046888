import type { BrokerAdapter, PublishOutcome } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { BrokerError, CallError, messageOf, ReplytoError } from '../protocol/errors.ts'
import { HEADER } from '../protocol/headers.ts'
import type { Message } from '../protocol/message.ts'
import { detailsOf, failed, type CallState } from './call-state.ts'
import type { CountClient } from './client-counters.ts'
import { createLane, type Lane, type OutboxEntry } from './outbox-lane.ts'
import { refusalFor } from './refusal.ts'

/**
 * What is not yet known to be stored: one bounded list for all queues. It alone publishes and it alone publishes again:
 * a message whose outcome is unknown goes out once more, unchanged but for a header, when the broker is up again.
 * Later coalescing into frames belongs in `takeBatch` of outbox-lane.ts.
 */
export interface Outbox {
  /** @throws CallError OVERLOADED */
  add(state: CallState, message: OutboxEntry['message']): void
  /** The call needs no (further) publish: it was answered or gave up. */
  drop(state: CallState): void
  /** The address of its mailbox is known. */
  admit(state: CallState): void
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

/** Publishes to one queue whose outcome is not known yet; a queue that is slow does not hold up another. */
const MAX_IN_FLIGHT = 8192
/** Where an outcome tells to try again although the connection is up. */
const RETRY_MS = 100
const MAX_UNROUTABLE = 3
/** What an entry takes besides its body and the values of its headers, about. */
const ENTRY_BYTES = 200

export function createOutbox({ core, limits, inboxAddress, count, onStored }: OutboxOptions): Outbox {
  const lanes = new Map<string, Lane>()
  let made = 0
  let held = 0
  let bytes = 0
  let isFlushing = false
  let retryTimer: NodeJS.Timeout | undefined
  const stopListening = core.onState((state) => {
    if (state === 'up') wakeLanes()
    else if (state !== 'closed') failWaiting(state)
  })

  return {
    add(state, message) {
      const size = sizeOf(message)
      if (held >= limits.calls || bytes + size > limits.bytes) {
        count('overloaded')
        throw new CallError(
          'OVERLOADED',
          `the outbox holds ${held} messages of ${bytes} bytes that ${core.url} has not confirmed`,
          detailsOf(state),
        )
      }
      const entry: OutboxEntry = {
        state,
        message,
        size,
        order: made++,
        copiesBefore: state.copies,
        isBehind: false,
        isDropped: false,
        unroutable: 0,
      }
      state.entry = entry
      held++
      bytes += size
      laneOf(state).push(entry)
      scheduleFlush()
    },

    admit({ entry }) {
      if (entry === undefined || entry.isDropped) return
      laneOf(entry.state).admit(entry)
      scheduleFlush()
    },
    drop: (state) => forget(state.entry),
    flush: scheduleFlush,
    close() {
      stopListening()
      clearTimeout(retryTimer)
      lanes.clear()
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
      if (lane.waiting.size > 0 && !lane.isResting) void flushLane(lane, adapter)
    }
  }

  async function flushLane(lane: Lane, adapter: BrokerAdapter): Promise<void> {
    if (lane.queueIs === 'being declared') return // whoever declares it goes on from there
    if (lane.queueIs === 'missing' && !(await declare(lane, adapter))) return
    for (;;) {
      const batch = lane.takeBatch({ room: MAX_IN_FLIGHT - lane.inFlight, canCall: inboxAddress() !== undefined })
      if (batch.length === 0) return
      void publish(lane, adapter, batch)
    }
  }

  async function declare(lane: Lane, adapter: BrokerAdapter): Promise<boolean> {
    lane.queueIs = 'being declared'
    try {
      await adapter.declare(lane.queue)
      lane.queueIs = 'declared'
      return true
    } catch (error) {
      lane.queueIs = 'missing'
      if (error instanceof ReplytoError && error.code === 'BROKER_REFUSED')
        for (const entry of lane.all()) refuse(entry, refusalFor(entry.state, error))
      else rest(lane)
      return false
    }
  }

  async function publish(lane: Lane, adapter: BrokerAdapter, batch: readonly OutboxEntry[]): Promise<void> {
    lane.inFlight += batch.length
    const messages = batch.map(toMessage)
    for (const { state } of batch) state.copies++
    const outcomes = await publishSafely(lane, adapter, messages)
    lane.inFlight -= batch.length
    const again = batch.filter((entry, index) => wantsAnother(lane, entry, outcomes[index] ?? UNKNOWN))
    if (again.length > 0) {
      lane.putBack(again)
      rest(lane)
    } else if (lane.waiting.size > 0) scheduleFlush()
  }

  function toMessage({ state, message, copiesBefore }: OutboxEntry): Message {
    const isAgain = state.copies > copiesBefore
    if (isAgain) {
      count('resent')
      message.headers = { ...message.headers, [HEADER.resent]: '1' }
    }
    if (state.kept !== undefined) message.replyTo = state.kept.mailbox?.address
    else if (state.kind !== 'send') message.replyTo = inboxAddress()
    // What waits in a delay does not expire there: a worker looks at its deadline when it is due.
    if (state.expiresAt !== undefined && message.delayMs === undefined)
      message.expiresInMs = Math.max(1, state.expiresAt - core.clock.now())
    return message
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
      case 'notSent':
        return !failsFast(entry, outcome)
      case 'unroutable':
        lane.queueIs = 'missing'
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

  function failsFast(entry: OutboxEntry, { reason }: Pick<PublishOutcome, 'reason'>): boolean {
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

  /** `failFast`: what has not left does not wait for the broker to come back. */
  function failWaiting(state: 'down' | 'blocked'): void {
    for (const lane of lanes.values()) for (const entry of lane.all()) failsFast(entry, { reason: `it is ${state}` })
  }

  function refuse(entry: OutboxEntry, error: ReplytoError): false {
    forget(entry)
    entry.state.answer(failed(error))
    return false
  }

  function forget(entry: OutboxEntry | undefined): void {
    if (entry === undefined || entry.isDropped) return
    entry.isDropped = true
    held--
    const lane = laneOf(entry.state)
    lane.remove(entry)
    bytes -= entry.size
    if (lane.queue.features.keyed) scheduleFlush() // the next of its key may leave
  }

  /** Without it a broker that is up and sends nothing would be asked in a loop that leaves no turn to others. */
  function rest(lane: Lane): void {
    lane.isResting = true
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined
      wakeLanes()
    }, RETRY_MS)
  }

  function wakeLanes(): void {
    for (const lane of lanes.values()) lane.isResting = false
    scheduleFlush()
  }
}

const UNKNOWN: PublishOutcome = { status: 'unknown' }

function isProvedNotStored({ status }: PublishOutcome): boolean {
  return status === 'notSent' || status === 'unroutable' || status === 'tooLarge'
}

function sizeOf({ body, headers }: OutboxEntry['message']): number {
  let size = body.length + ENTRY_BYTES
  for (const name in headers) size += headers[name]?.length ?? 0
  return size
}
