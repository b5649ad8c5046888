import { callScope } from '../protocol/call-scope.ts'
import { CallError } from '../protocol/errors.ts'
import { createCallState, detailsOf, failed, type CallState } from './call-state.ts'
import type { CallerOptions, CallRequest, StubMethod } from './caller.ts'
import { checkAttachOptions, timeoutOf } from './options.ts'
import { linkSignal, reasonOf } from './signal-links.ts'
import type { AttachOptions } from './types.ts'

export interface AttachRequest extends Pick<CallRequest, 'onSettled' | 'onProgress'> {
  /** Not checked yet. */
  readonly id: unknown
  readonly options: AttachOptions
}

/** Waits for the outcome of a call that was made elsewhere; nothing of it is published here. */
export type Attach = (method: StubMethod, request: AttachRequest) => CallState

/** How long workers remember that a call whose deadline is not known here was cancelled. */
const CANCEL_KNOWN_MS = 3_600_000
/** Of an id that is no id. */
const MAX_SHOWN = 100

export function createAttach({
  options: client,
  clock,
  pending,
  publisher,
  refusal,
  onSettled,
}: Omit<CallerOptions, 'cancels'>): Attach {
  return (method, request) => {
    const unlinks: (() => void)[] = []
    const state = newState(method, request, () => unlinks.forEach((unlink) => unlink()))
    try {
      checkAttachOptions(request.id, request.options)
      const refused = refusal(state)
      if (refused !== undefined) throw refused
      pending.add(state)
    } catch (error) {
      state.settle(failed(error))
      return state
    }
    for (const signal of [request.options.signal, callScope.getStore()?.signal])
      if (signal !== undefined) unlinks.push(linkSignal(signal, () => stopWaiting(state, signal)))
    if (state.end === undefined) publisher.attach(state, method, request.onProgress)
    else unlinks.forEach((unlink) => unlink())
    return state
  }

  function newState(method: StubMethod, request: AttachRequest, unlink: () => void): CallState {
    const now = clock.now()
    const timeoutMs = timeoutOf(client, method, { kind: 'call', given: request.options?.timeoutMs }) // not checked yet
    const waitMs = Math.min(timeoutMs, (callScope.getStore()?.deadline ?? Infinity) - now)
    return createCallState({
      id: typeof request.id === 'string' ? request.id.slice(0, MAX_SHOWN) : '',
      kind: 'call',
      target: method,
      clock,
      endsAt: clock.monotonic() + waitMs,
      deadline: now + Math.max(waitMs, CANCEL_KNOWN_MS),
      expiresAt: undefined,
      failFast: method.stub.failFast ?? client.failFast,
      waitsForItself: false,
      kept: { keepMs: undefined, createForMs: undefined, encoding: method.encoding, mailbox: undefined },
      copies: 2, // nobody here knows how many there are, so nothing is proved by one of them
      onSettled(state, end) {
        unlink()
        onSettled(state)
        request.onSettled(end)
      },
    })
  }
}

/** The call itself goes on: others may wait for it too. */
function stopWaiting(state: CallState, signal: AbortSignal): void {
  const text = `the caller waits no longer, and the call goes on: ${reasonOf(signal)}`
  state.settle(failed(new CallError('CANCELLED', text, detailsOf(state, { cause: signal.reason }))))
}
