import { checkValue, type Checked } from '../contract/check-value.ts'
import type { MethodFacts } from '../contract/method.ts'
import { callScope, MAX_CALL_DEPTH, type CallScope } from '../protocol/call-scope.ts'
import type { Clock } from '../protocol/clock.ts'
import type { Encoding } from '../protocol/codec.ts'
import { CallError, ConfigError } from '../protocol/errors.ts'
import { userHeadersProblem } from '../protocol/headers.ts'
import { isValidId, newCallId } from '../protocol/ids.ts'
import { runMiddleware, type MiddlewareCall } from '../protocol/middleware.ts'
import { describeIssues, plainIssues } from '../protocol/wire-errors.ts'
import {
  createCallState,
  detailsOf,
  failed,
  type CallState,
  type Kept,
  type CallTarget,
  type Settled,
} from './call-state.ts'
import type { Cancels } from './cancels.ts'
import {
  checkCallOptions,
  type RequestOptions,
  type ResolvedClientOptions,
  type ResolvedStubOptions,
  timeoutOf,
  type Verb,
} from './options.ts'
import type { PendingCalls } from './pending-calls.ts'
import type { Publisher } from './publisher.ts'
import { linkSignal, reasonOf } from './signal-links.ts'
import type { StreamReader } from './stream-reader.ts'

/** A method of a stub: what does not change from call to call. */
export interface StubMethod extends CallTarget {
  readonly facts: MethodFacts
  readonly encoding: Encoding
  readonly version: string
  readonly stub: ResolvedStubOptions
}

export interface CallRequest {
  readonly verb: Verb
  readonly input: unknown
  readonly options: RequestOptions
  readonly onSettled: (end: Settled) => void
  readonly onProgress?: ((value: unknown) => void) | undefined
  /** Of the verb 'stream'. */
  readonly stream?: StreamReader | undefined
}

/** Takes a call from the stub to the outbox, step by step; each step that fails settles it. */
export interface Caller {
  make(method: StubMethod, request: CallRequest): CallState
}

export interface CallerOptions {
  readonly options: ResolvedClientOptions
  readonly clock: Clock
  readonly pending: PendingCalls
  readonly publisher: Publisher
  readonly cancels: Cancels
  /** Why no call can be made any more, as this call's error; undefined: they can. */
  readonly refusal: (state: CallState) => Error | undefined
  /** Whatever has to be tidied up for a call that has ended. */
  readonly onSettled: (state: CallState) => void
}

export function createCaller({
  options: client,
  clock,
  pending,
  publisher,
  cancels,
  refusal,
  onSettled,
}: CallerOptions): Caller {
  return { make }

  function make(method: StubMethod, request: CallRequest): CallState {
    const scope = request.verb === 'send' ? undefined : callScope.getStore()
    let unlink: (() => void) | undefined
    const state = newState(method, request, {
      scope,
      onSettled(ended, end) {
        unlink?.()
        onSettled(ended)
        ended.answer(end) // a middleware that waits for the answer goes on, whatever ended the call
        request.onSettled(end)
      },
    })
    request.stream?.begin(state, timeoutOf(client, method, { kind: 'stream', given: request.options?.timeoutMs }))
    try {
      assertCanCall(state, method, request)
      pending.add(state)
    } catch (error) {
      state.settle(failed(error))
      return state
    }
    unlink = linkSignals(state, request.options.signal, scope?.signal)
    if (state.end === undefined) checkInput(state, method, request)
    else unlink?.() // aborted already
    return state
  }

  function newState(
    method: StubMethod,
    { verb, options }: Pick<CallRequest, 'verb' | 'options'>,
    {
      scope,
      onSettled,
    }: { readonly scope: CallScope | undefined; readonly onSettled: (state: CallState, end: Settled) => void },
  ): CallState {
    const kind = KINDS[verb]
    const timeoutMs = timeoutOf(client, method, { kind, given: options?.timeoutMs }) // not checked yet: null would throw here
    const now = clock.now()
    const deadline = Math.min(now + timeoutMs, scope?.deadline ?? Infinity)
    return createCallState({
      id: options?.id === undefined ? newCallId() : idOf(options.id),
      kind,
      target: method,
      clock,
      endsAt: clock.monotonic() + (deadline - now),
      deadline,
      expiresAt: kind !== 'send' ? deadline : addTo(now, options?.expiresMs),
      failFast: options?.failFast ?? method.stub.failFast ?? client.failFast,
      waitsForItself: scope !== undefined && scope.queue === method.queueName && scope.isPoolFull(),
      kept: options?.keepMs === undefined ? undefined : keptOf(method, options, kind === 'call' ? deadline - now : 0),
      // Somebody else may have made the call of this id, and more is said of it than of what is sent here.
      copies: kind === 'call' && options?.id !== undefined ? 1 : 0,
      onSettled,
    })
  }

  function assertCanCall(state: CallState, method: StubMethod, { verb, options }: CallRequest): void {
    const scope = verb === 'send' ? undefined : callScope.getStore()
    checkCallOptions(verb, options, method)
    const refused = refusal(state)
    if (refused !== undefined) throw refused
    if ((scope?.depth ?? 0) > MAX_CALL_DEPTH)
      throw new CallError(
        'OVERLOADED',
        `calls are nested deeper than ${MAX_CALL_DEPTH}: does a handler call itself?`,
        detailsOf(state),
      )
    if (scope !== undefined && scope.deadline <= clock.now())
      throw new CallError('TIMEOUT', 'the deadline of the call around it has passed', detailsOf(state))
  }

  function linkSignals(state: CallState, ...signals: readonly (AbortSignal | undefined)[]): (() => void) | undefined {
    if (signals.every((signal) => signal === undefined)) return undefined
    const links = signals.flatMap((signal) => {
      if (signal === undefined) return []
      return [linkSignal(signal, () => cancels.cancel(state, { reason: reasonOf(signal), cause: signal.reason }))]
    })
    return () => links.forEach((unlink) => unlink())
  }

  function checkInput(state: CallState, method: StubMethod, request: CallRequest): void {
    if (client.validate !== 'both') return runThroughMiddleware(state, method, request)
    const next = (checked: Checked): void => {
      if (state.end !== undefined) return
      if (checked.issues === undefined) return runThroughMiddleware(state, method, request)
      const text = `the input does not fit the contract: ${describeIssues(checked.issues)}`
      state.settle(
        failed(new CallError('INVALID_INPUT', text, detailsOf(state, { issues: plainIssues(checked.issues) }))),
      )
    }
    const checked = checkValue(method.facts.input, request.input)
    if (checked instanceof Promise) void checked.then(next)
    else next(checked)
  }

  function runThroughMiddleware(state: CallState, method: StubMethod, request: CallRequest): void {
    const { input, options, onProgress, stream } = request
    const headers = { ...method.stub.headers, ...options.headers }
    if (client.middleware.length === 0)
      return publisher.publish(state, method, { input, headers, options, onProgress, stream })

    const call: MiddlewareCall = {
      side: 'client',
      kind: state.kind,
      service: method.service,
      method: method.method,
      group: method.queue.group,
      id: state.id,
      attempt: 1,
      deadline: state.expiresAt,
      input,
      headers: new Map(Object.entries(headers)),
      state: new Map(),
    }
    const exchange = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        if (stream === undefined)
          state.onAnswer = (end) => (end.status === 'ok' ? resolve(end.value) : reject(end.error))
        else resolve(stream.items) // the call goes on, and ends, while they are read
        if (state.end !== undefined) return state.answer(state.end) // it ended before the middleware went on
        const problem = userHeadersProblem(call.headers)
        if (problem !== undefined) return reject(new ConfigError(`a middleware ${problem}`, detailsOf(state)))
        publisher.publish(state, method, {
          input: call.input,
          headers: Object.fromEntries(call.headers),
          options,
          onProgress,
          stream,
        })
      })
    if (stream !== undefined) return openStream(state, stream, () => runMiddleware(client.middleware, call, exchange))
    void runSafely(() => runMiddleware(client.middleware, call, exchange)).then((end) => state.settle(end))
  }
}

/** What the middleware makes of the items is read in their place; what it throws is the end of the call. */
function openStream(state: CallState, stream: StreamReader, run: () => Promise<unknown>): void {
  stream.source = run()
  stream.source.catch((error: unknown) => state.settle(failed(error)))
}

const KINDS = { call: 'call', start: 'call', send: 'send', stream: 'stream' } as const

/** A wrong one is refused in a moment, under an id of ours. */
function idOf(given: unknown): string {
  return typeof given === 'string' && isValidId(given) ? given : newCallId()
}

function keptOf({ encoding }: StubMethod, options: RequestOptions, remainingMs: number): Kept {
  const { keepMs = 0, delayMs = 0, expiresMs = 0 } = options
  return { keepMs, createForMs: keepMs + remainingMs + delayMs + expiresMs, encoding, mailbox: undefined }
}

function addTo(now: number, ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : now + ms
}

/** A middleware that throws synchronously fails its call like one that rejects. */
async function runSafely(run: () => Promise<unknown>): Promise<Settled> {
  try {
    return { status: 'ok', value: await run() }
  } catch (error) {
    return failed(error)
  }
}
