import { callScope } from '../protocol/call-scope.ts'
import { runMiddleware, type MiddlewareCall } from '../protocol/middleware.ts'
import type { Attempt } from './attempt.ts'
import { nameOf, stackOf, threw } from './failures.ts'
import { RunContext, userHeaders } from './handler-context.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCall } from './held-calls.ts'
import { encodeOutput, judgeThrown, warnOfUnthrown } from './judge-result.ts'
import { parseInput, readMessage } from './read-message.ts'
import { runStream } from './run-stream.ts'
import type { Outcome } from './settlement.ts'
import type { WorkerParts } from './worker-parts.ts'

/** Decode → method → parse → middleware → handler → check → encode. Never rejects; the worker decides what follows. */
export async function runAttempt(call: HeldCall, attempt: Attempt, parts: WorkerParts): Promise<Outcome> {
  try {
    const read = readMessage(call, parts.core.maxPayloadBytes)
    if ('outcome' in read) return read.outcome
    const { method, codec } = read
    const parsing = parseInput(call, read.input, { method, parts })
    const parsed = parsing instanceof Promise ? await parsing : parsing
    if ('outcome' in parsed) return parsed.outcome
    const ended = await callScope.run(attempt, () => runHandler(call, attempt, { method, parts, input: parsed.input }))
    if ('thrown' in ended) return await judgeThrown(call, attempt, { thrown: ended.thrown, method, codec, parts })
    if (method.facts.kind === 'stream')
      return await callScope.run(attempt, () => runStream(call, attempt, { items: ended.output, method, codec, parts }))
    warnOfUnthrown(call, attempt, parts)
    const outcome = encodeOutput(call, ended.output, { method, codec, parts })
    return outcome instanceof Promise ? await outcome : outcome
  } catch (error) {
    parts.core.log('error', 'WORKER_BUG', `running ${nameOf(call)} failed inside the worker: ${stackOf(error)}`)
    return threw(call, error, { isEntered: attempt.isEntered, isFinal: false })
  }
}

interface HandlerOptions {
  readonly method: ServedMethod
  readonly parts: WorkerParts
  readonly input: unknown
}

type Ended = { readonly output: unknown } | { readonly thrown: unknown }

async function runHandler(call: HeldCall, attempt: Attempt, { method, parts, input }: HandlerOptions): Promise<Ended> {
  try {
    const { middleware } = parts.options
    if (middleware.length === 0) return { output: await enter(input, NO_STATE) }
    const layered = middlewareCall(call, attempt, { method, parts, input })
    return { output: await runMiddleware(middleware, layered, async () => enter(layered.input, layered.state)) }
  } catch (thrown) {
    return { thrown }
  }

  /** A call that ended meanwhile (an input schema or a middleware took too long) is not begun any more. */
  function enter(parsed: unknown, state: ReadonlyMap<unknown, unknown>): unknown {
    if (attempt.abortReason !== undefined) throw attempt.abortReason
    attempt.isEntered = true
    call.mayHaveRun = true
    return method.run(parsed, new RunContext({ call, attempt, state, parts }))
  }
}

const NO_STATE: ReadonlyMap<unknown, unknown> = new Map()

function middlewareCall(call: HeldCall, attempt: Attempt, { method, parts, input }: HandlerOptions): MiddlewareCall {
  return {
    side: 'worker',
    kind: call.message.type,
    service: call.queue.ref.service,
    method: method.name,
    group: parts.options.group,
    id: call.message.id,
    attempt: attempt.number,
    deadline: call.deadline?.at,
    input,
    headers: new Map(userHeaders(call)),
    state: new Map(),
  }
}
