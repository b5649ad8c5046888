import { checkValue } from '../contract/check-value.ts'
import { codecFor } from '../protocol/codec.ts'
import { DeclaredError } from '../protocol/errors.ts'
import { HEADER } from '../protocol/headers.ts'
import type { Attempt } from './attempt.ts'
import { describeThrown, nameOf } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import { progressReply } from './replies.ts'
import type { HandlerContext } from './types.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

interface ContextOptions {
  readonly call: HeldCall
  readonly attempt: Attempt
  readonly state: ReadonlyMap<unknown, unknown>
  readonly parts: WorkerParts
}

/**
 * What the handler gets. A class, since one is made per message: what few handlers use is made when it is read, and stays usable
 * when it is taken out (`const { fail } = ctx`).
 */
export class RunContext implements HandlerContext<Record<string, unknown>, unknown> {
  readonly service: string
  readonly method: string
  readonly callId: string
  readonly attempt: number
  readonly fence: number | undefined
  readonly deadline: number
  readonly state: ReadonlyMap<unknown, unknown>
  readonly #options: ContextOptions
  #headers: Readonly<Record<string, string>> | undefined

  constructor(options: ContextOptions) {
    const { call, attempt } = options
    this.service = call.queue.ref.service
    this.method = call.method?.name ?? ''
    this.callId = call.message.id
    this.attempt = attempt.number
    this.fence = call.delivery.fence
    this.deadline = attempt.deadline
    this.state = options.state
    this.#options = options
  }

  get signal(): AbortSignal {
    return this.#options.attempt.signal
  }

  get caller(): string {
    return wireText(this.#options.call.message.headers[HEADER.caller])
  }

  get headers(): Readonly<Record<string, string>> {
    if (this.#headers === undefined) {
      const headers = Object.fromEntries(userHeaders(this.#options.call))
      Object.setPrototypeOf(headers, null) // data of a stranger: `headers.constructor` is there only if it was sent
      this.#headers = Object.freeze(headers)
    }
    return this.#headers
  }

  get remainingMs(): () => number {
    return () => Math.max(0, this.deadline - this.#options.parts.now())
  }

  get progress(): (value: unknown) => void {
    return (value) => reportProgress(this.#options, value)
  }

  get fail(): <C extends string>(code: C, data?: unknown) => DeclaredError<C, unknown> {
    const { attempt, call } = this.#options
    return (code, data) => {
      const error = new DeclaredError(code, data, `${nameOf(call)} failed with ${code}`)
      attempt.failures ??= []
      attempt.failures.push(error)
      return error
    }
  }
}

/** The caller's own headers. */
export function userHeaders({ message }: HeldCall): [string, string][] {
  return Object.entries(message.headers).filter(
    ([name, value]) => typeof value === 'string' && !name.toLowerCase().startsWith('rt-'),
  )
}

/** Best effort: a report that cannot be sent is counted and logged, never thrown into the handler. */
function reportProgress({ call, attempt, parts }: ContextOptions, value: unknown): void {
  if (attempt.isOver || call.replyAddress === undefined) return
  const problem = sendProgress()
  if (problem === undefined) return
  parts.count('progressDropped')
  parts.core.log(
    'warn',
    'PROGRESS_DROPPED',
    `a progress report of ${nameOf(call)} was dropped: ${problem}`,
    nameOf(call),
  )

  function sendProgress(): string | undefined {
    if (parts.options.validate === 'both') {
      const checked = checkValue(call.method?.facts.progress, value)
      // An asynchronous schema is left to the caller: reports are not held back for it.
      if (!(checked instanceof Promise) && checked.issues !== undefined) return 'it does not fit the contract'
    }
    try {
      const body = codecFor(call.message.contentType)?.encode(value)
      if (body === undefined) return 'its content type is unknown'
      if (body.length > parts.core.maxPayloadBytes) return `it has ${body.length} bytes, more than maxPayloadBytes`
      parts.outbox.sendUnconfirmed(
        call.replyAddress ?? '',
        progressReply(call, parts, { body, sequence: attempt.progressCount++ }),
      )
      return undefined
    } catch (error) {
      return describeThrown(error)
    }
  }
}
