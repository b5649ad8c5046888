import type { AdapterFactory } from '../broker-adapters/adapter.ts'
import type { Broker, ConnectOptions } from '../broker-adapters/broker.ts'
import { openBroker } from '../broker-adapters/connect.ts'
import { refuseConnectOptions } from '../broker-adapters/connect-options.ts'
import { within } from '../broker-adapters/within.ts'
import { assertService, queueOf } from '../contract/service-facts.ts'
import type { MethodFacts } from '../contract/method.ts'
import { createCounters } from '../protocol/counters.ts'
import { BrokerError, CallError, type ReplytoError } from '../protocol/errors.ts'
import { closeOnce, type Grace } from '../protocol/grace.ts'
import { createTimerWheel } from '../protocol/timer-wheel.ts'
import { createAttach } from './attach.ts'
import { createCaller, type CallerOptions } from './caller.ts'
import { cancelledEnd, detailsOf, failed, type CallState } from './call-state.ts'
import type { CountClient } from './client-counters.ts'
import { createCancels } from './cancels.ts'
import { CLIENT_DEFAULTS, resolveClientOptions, resolveQueueGroup, resolveStubOptions, resolveWait } from './options.ts'
import { createMailboxes } from './mailboxes.ts'
import { createOutbox } from './outbox.ts'
import { createPendingCalls } from './pending-calls.ts'
import { createPublisher } from './publisher.ts'
import { createQueueAdmin } from './queue-admin.ts'
import { createQueueWatch } from './queue-watch.ts'
import { refusalFor } from './refusal.ts'
import { createReplyInbox } from './reply-inbox.ts'
import { createStreamReader, type StreamReader } from './stream-reader.ts'
import { createStub } from './stub.ts'
import { timeoutError } from './timeout-error.ts'
import type { Client, ClientOptions } from './types.ts'

/** Calls made and not settled, over all queues. */
const MAX_PENDING = 1_000_000

/**
 * A client. Synchronous: it dials in the background, calls wait for the broker until their own deadline. Made from a URL
 * it owns its broker and closes it; made from a `Broker` it shares it. Keeps the process alive until `close()`.
 *
 * @param target a URL, a broker from `connect()`, or what an adapter's function gives. @default REPLYTO_URL, else `file:./.replyto`
 * @throws ConfigError for a bad URL or option, or an option of `connect` beside a shared broker
 */
export function createClient(
  target?: Broker | AdapterFactory | string,
  options: ClientOptions & ConnectOptions = {},
): Client {
  const resolved = resolveClientOptions(options)
  const isShared = isBroker(target)
  if (isShared) refuseConnectOptions('client', options)
  const broker = isShared ? target : openBroker(target, options)
  const core = broker['~core']
  const counters = createCounters()
  const count: CountClient = (name) => counters.add(name)
  const wheel = createTimerWheel({ clock: core.clock })
  const watch = createQueueWatch(core)
  let closed: CallError | undefined
  const close = closeOnce(CLIENT_DEFAULTS.graceMs, closeAll)

  const pending = createPendingCalls({
    wheel,
    limit: MAX_PENDING,
    onHalfTime: (state) => void watch.look(state.target),
    onDeadline,
  })
  const inbox = createReplyInbox({
    core,
    leaseMs: resolved.replyLeaseMs,
    pending,
    count,
    onOpen: () => outbox.flush(),
  })
  const outbox = createOutbox({ core, limits: resolved.outbox, inboxAddress: () => inbox.address, count, onStored })
  const mailboxes = createMailboxes({ core, onMade: (state) => outbox.admit(state) })
  const cancels = createCancels({
    core,
    wheel,
    giveUp: (state) => outbox.drop(state),
    onCancelled: (state) => mailboxes.tellCancelled(state),
  })
  const publisher = createPublisher({ core, options: resolved, outbox, inbox, mailboxes, watch })
  const callerOptions: CallerOptions = {
    options: resolved,
    clock: core.clock,
    pending,
    publisher,
    cancels,
    refusal(state) {
      const why = closed ?? core.refusal
      return why && refusalFor(state, why)
    },
    onSettled,
  }
  const caller = createCaller(callerOptions)
  const attach = createAttach(callerOptions)
  const ends = [core.attach('client', ({ graceMs }) => close(graceMs)), core.onRefused(onRefused)]

  return {
    service(service, stubOptions = {}) {
      assertService(service)
      const cancel = (state: CallState, reason: string): void => cancels.cancel(state, { reason })
      const readStream = (facts: MethodFacts): StreamReader =>
        createStreamReader({
          core,
          maxPayloadBytes: core.maxPayloadBytes,
          facts,
          validate: resolved.validate,
          cancel,
          forget: (state) => cancels.forget(state),
        })
      const stub = resolveStubOptions(stubOptions, service)
      return createStub(service, { core, caller, attach, cancel, readStream, options: stub })
    },
    queue(service, queueOptions = {}) {
      assertService(service)
      return createQueueAdmin(core, queueOf(service, resolveQueueGroup(queueOptions)))
    },
    counters: counters.counts,
    async ready({ timeoutMs } = {}) {
      if (closed !== undefined) throw closed
      const waitMs = resolveWait('timeoutMs', timeoutMs) ?? core.connectTimeoutMs
      const late = `${core.url} could not be reached within ${waitMs} ms`
      await within(becomeReady(waitMs), waitMs, () => new BrokerError('BROKER_UNAVAILABLE', late))
    },
    close: async ({ graceMs } = {}) => close(resolveWait('graceMs', graceMs)),
    [Symbol.asyncDispose]: () => close(),
  }

  async function becomeReady(timeoutMs: number): Promise<void> {
    await core.ready({ timeoutMs })
    await inbox.open()
    if (core.state !== 'up') await nextUp()
  }

  /** Resolves when the broker is up, or will never be: then calls are refused at once. */
  function nextUp(): Promise<void> {
    return new Promise((resolve) => {
      const stop = core.onState((state) => {
        if (state !== 'up' && state !== 'closed') return
        stop()
        resolve()
      })
    })
  }

  function onStored(state: CallState): void {
    if (state.kind === 'send') return state.answer({ status: 'ok', value: { id: state.id } })
    if (state.stage === 'outbox') state.stage = 'queued'
    state.onStage?.()
  }

  function onDeadline(state: CallState): void {
    if (state.cancelled !== undefined) return state.settle(cancelledEnd(state))
    count('timeouts')
    const error = timeoutError(state, { core, seen: watch.seenSince(state.target.queueName, state.startedAt) })
    state.settle(failed(error))
    if (isForgotten(state)) cancels.forget(state)
  }

  /** The one place where a call leaves every table, whatever ended it. */
  function onSettled(state: CallState): void {
    pending.remove(state)
    outbox.drop(state)
    if (state.kept !== undefined) mailboxes.leave(state)
  }

  /** The broker will not come up: whoever waits is told now. */
  function onRefused(refusal: ReplytoError): void {
    for (const state of pending.all()) state.settle(failed(refusalFor(state, refusal)))
  }

  /** Order: no new calls; those under way end or are ended, and workers told; the inbox goes; the broker last, if it is ours. */
  async function closeAll(grace: Grace): Promise<void> {
    closed = new CallError('CLOSED', 'the client was closed')
    await grace.isEnoughFor(pending.whenEmpty())
    const left = pending.all()
    for (const state of left) state.settle(failed(new CallError('CLOSED', 'the client was closed', detailsOf(state))))
    await cancels.forgetAll(left.filter(isForgotten))
    await inbox.close()
    outbox.close()
    cancels.close()
    wheel.close()
    for (const end of ends) end()
    if (!isShared) await broker.close({ graceMs: grace.remainingMs })
  }
}

/** Nobody will ask for its outcome any more. */
function isForgotten({ kind, kept }: CallState): boolean {
  return kind !== 'send' && kept === undefined
}

function isBroker(target: unknown): target is Broker {
  return typeof target === 'object' && target !== null && '~core' in target
}
