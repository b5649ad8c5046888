import type { BrokerCore } from '../broker-adapters/broker.ts'
import { callScope } from '../protocol/call-scope.ts'
import { codecOf } from '../protocol/codec.ts'
import { BrokerError, CallError, type ReplytoError } from '../protocol/errors.ts'
import { attemptOf, HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import { HOST_ID } from '../protocol/host-id.ts'
import { isFinalReply, type Reply } from '../protocol/message.ts'
import type { StubMethod } from './caller.ts'
import { cancelledEnd, detailsOf, failed, type CallState } from './call-state.ts'
import type { RequestOptions, ResolvedClientOptions } from './options.ts'
import type { Mailboxes } from './mailboxes.ts'
import type { Outbox } from './outbox.ts'
import type { OutboxEntry } from './outbox-lane.ts'
import type { QueueWatch } from './queue-watch.ts'
import { readFinalReply, readProgress } from './read-reply.ts'
import { refusalFor } from './refusal.ts'
import type { ReplyInbox } from './reply-inbox.ts'
import type { StreamReader } from './stream-reader.ts'

export interface PublishRequest {
  readonly input: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly options: RequestOptions
  readonly onProgress: ((value: unknown) => void) | undefined
  readonly stream: StreamReader | undefined
}

/** Encodes a call, readies it for its replies and hands it to the outbox. */
export interface Publisher {
  publish(state: CallState, method: StubMethod, request: PublishRequest): void
  /** Only readies it for its replies: it was published elsewhere. */
  attach(state: CallState, method: StubMethod, onProgress: PublishRequest['onProgress']): void
}

export interface PublisherOptions {
  readonly core: BrokerCore
  readonly options: ResolvedClientOptions
  readonly outbox: Outbox
  readonly inbox: ReplyInbox
  readonly mailboxes: Mailboxes
  readonly watch: QueueWatch
}

export function createPublisher({
  core,
  options: client,
  outbox,
  inbox,
  mailboxes,
  watch,
}: PublisherOptions): Publisher {
  const fixed = new WeakMap<StubMethod, Readonly<Record<string, string>>>()
  return { publish, attach }

  function publish(state: CallState, method: StubMethod, request: PublishRequest): void {
    try {
      const body = encodeInput(state, method, request.input)
      if (state.kind !== 'send') state.onReply = receiverOf(state, method, request)
      const message = toMessage(state, method, request, body)
      if (state.failFast)
        void checkBroker(state).then((error) =>
          error === undefined ? enqueue(state, message) : state.answer(failed(error)),
        )
      else enqueue(state, message)
    } catch (error) {
      state.answer(failed(error))
    }
  }

  function receiverOf(state: CallState, method: StubMethod, request: PublishRequest): (reply: Reply) => void {
    const { stream, onProgress } = request
    if (stream === undefined) return (reply) => onReply(state, method, { reply, onProgress })
    const take = (reply: Reply): void => onReply(state, method, { reply, onProgress })
    return (reply) => {
      if (!isFinalReply(reply.type)) take(reply)
      stream.receive(reply, take)
    }
  }

  function attach(state: CallState, method: StubMethod, onProgress: PublishRequest['onProgress']): void {
    state.onReply = (reply) => onReply(state, method, { reply, onProgress })
    mailboxes.read(state)
  }

  function encodeInput(state: CallState, { encoding }: StubMethod, input: unknown): Uint8Array {
    let body: Uint8Array
    try {
      body = codecOf(encoding).encode(input)
    } catch (error) {
      throw new CallError(
        'INVALID_INPUT',
        `the input cannot be encoded: ${messageText(error)}`,
        detailsOf(state, { cause: error }),
      )
    }
    if (body.length <= core.maxPayloadBytes) return body
    throw new CallError(
      'PAYLOAD_TOO_LARGE',
      `the input has ${body.length} bytes encoded, maxPayloadBytes is ${core.maxPayloadBytes}`,
      detailsOf(state),
    )
  }

  function toMessage(
    state: CallState,
    method: StubMethod,
    { headers, options, stream }: Pick<PublishRequest, 'headers' | 'options' | 'stream'>,
    body: Uint8Array,
  ): OutboxEntry['message'] {
    const depth = state.kind !== 'send' ? (callScope.getStore()?.depth ?? 0) : 0
    // Assigned one by one: this is done for every call, and spreading what is conditional is many times slower.
    const all: Record<string, string> = { ...headers, ...headersOf(method) }
    all[HEADER.sent] = String(core.clock.now())
    if (state.expiresAt !== undefined) all[HEADER.deadline] = String(state.expiresAt)
    if (depth > 0) all[HEADER.depth] = String(depth)
    if (stream !== undefined) all[HEADER.silence] = String(stream.silenceMs)
    if (state.kept !== undefined) all[HEADER.keep] = String(state.kept.keepMs)
    if (options.key !== undefined) all[HEADER.key] = options.key
    if (method.facts.priority === true && (options.priority ?? method.stub.priority) === 'high')
      all[HEADER.priority] = 'high'
    return {
      id: state.id,
      type: state.kind,
      replyTo: undefined,
      contentType: codecOf(method.encoding).contentType,
      contentEncoding: undefined,
      headers: all,
      body,
      delayMs: options.delayMs === 0 ? undefined : options.delayMs,
      expiresInMs: undefined,
    }
  }

  /** Those that are the same for every call of a method. */
  function headersOf(method: StubMethod): Readonly<Record<string, string>> {
    let headers = fixed.get(method)
    if (headers === undefined) {
      headers = {
        [HEADER.version]: WIRE_VERSION,
        [HEADER.service]: method.service,
        [HEADER.method]: method.method,
        [HEADER.contractVersion]: method.version,
        [HEADER.caller]: client.name,
        [HEADER.host]: HOST_ID,
      }
      fixed.set(method, headers)
    }
    return headers
  }

  /** Registered long before: a reply may come as soon as the outbox has it. */
  function enqueue(state: CallState, message: OutboxEntry['message']): void {
    if (state.end !== undefined) return
    try {
      outbox.add(state, message)
    } catch (error) {
      return state.answer(failed(error))
    }
    if (state.kept !== undefined) return mailboxes.make(state)
    // An inbox is refused for good: without one nobody can answer.
    if (state.kind !== 'send' && inbox.address === undefined)
      inbox.open().catch((error: unknown) => state.answer(failed(refusalFor(state, error))))
  }

  /** `failFast`: what others would wait for is an error. */
  async function checkBroker(state: CallState): Promise<ReplytoError | undefined> {
    if (core.state !== 'up')
      return new BrokerError('BROKER_UNAVAILABLE', `${core.url} is ${core.state}`, detailsOf(state))
    if (state.kind === 'send') return undefined
    const consumers = await watch.look(state.target)
    return consumers === 0 ? new CallError('NO_WORKER', 'no worker consumes the queue', detailsOf(state)) : undefined
  }

  function onReply(
    state: CallState,
    method: StubMethod,
    { reply, onProgress }: { readonly reply: Reply; readonly onProgress: ((value: unknown) => void) | undefined },
  ): void {
    const { facts } = method
    outbox.drop(state) // an answer implies that it was stored
    const foreign = state.kept === undefined ? undefined : foreignMethod(reply, method)
    if (foreign !== undefined) {
      state.onReply = undefined
      const text = `${state.id} is a call of ${foreign}: its outcome is not one of ${method.service}.${method.method}`
      return state.answer(failed(new CallError('NOT_KEPT', text, detailsOf(state))))
    }
    state.stage = 'running'
    state.attempts = Math.max(state.attempts, attemptOf(reply.headers))
    state.onStage?.()
    if (!isFinalReply(reply.type)) {
      const progress =
        onProgress && reply.type === 'progress'
          ? readProgress(reply, { facts, validate: client.validate, maxPayloadBytes: core.maxPayloadBytes })
          : undefined
      if (progress !== undefined) onProgress?.(progress.value)
      return
    }
    state.onReply = undefined // a second answer is a late one
    const end = readFinalReply(state, reply, {
      facts,
      validate: client.validate,
      maxPayloadBytes: core.maxPayloadBytes,
    })
    if (state.cancelled !== undefined) return state.settle(cancelledEnd(state))
    if (end instanceof Promise) void end.then((settled) => state.answer(settled))
    else state.answer(end)
  }
}

/** The method to whose call a kept outcome belongs, if it is another one. */
function foreignMethod({ headers }: Reply, { service, method }: StubMethod): string | undefined {
  const [theirs = service, name = method] = [headers[HEADER.service], headers[HEADER.method]]
  return theirs === service && name === method ? undefined : `${theirs.slice(0, 64)}.${name.slice(0, 64)}`
}

function messageText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
