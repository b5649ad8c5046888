import { CallError, ConfigError, DeclaredError, describeService, type ContextOf, type Service } from 'replyto'
import type { Clock } from 'replyto/adapter'

export interface FakeContextOptions {
  /** @default 'test-call' */
  readonly callId?: string | undefined
  /** @default 1 */
  readonly attempt?: number | undefined
  /** The signal aborts then. @default 30_000 */
  readonly timeoutMs?: number | undefined
  /** @default {} */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** @default 'test' */
  readonly caller?: string | undefined
  /** What the worker's middleware would have put there. @default empty */
  readonly state?: ReadonlyMap<unknown, unknown> | undefined
  /** A test's clock moves the deadline near. @default that of the process */
  readonly clock?: Pick<Clock, 'now' | 'after'> | undefined
}

type Reports<Context> = Context extends { readonly progress: (value: infer Report) => void } ? Report : never

/** The context of one run, and what a test wants to see and do besides. */
export type FakeContext<S extends Service, M extends keyof S['methods']> = ContextOf<S, M> & {
  /** What the handler reported, in order. */
  readonly reports: readonly Reports<ContextOf<S, M>>[]
  /** Aborts the signal. @default reason a CallError with CANCELLED */
  abort(reason?: unknown): void
}

/**
 * A context for a test that calls one handler itself: `await handlers.resize(input, fakeContext(images, 'resize'))`.
 * `fail` makes the error that a caller would get; an undeclared code is a ConfigError here.
 *
 * @throws ConfigError for a method that the contract does not have
 */
export function fakeContext<S extends Service, M extends keyof S['methods'] & string>(
  service: S,
  method: M,
  options: FakeContextOptions = {},
): FakeContext<S, M> {
  const description = describeService(service).methods[method]
  if (description === undefined) throw new ConfigError(`service '${service.name}' has no method '${method}'`)
  const declared = Object.keys(description.errors ?? {})
  const { callId = 'test-call', attempt = 1, timeoutMs = 30_000, clock = PROCESS_CLOCK } = options
  const deadline = clock.now() + timeoutMs
  const reports: unknown[] = []
  const controller = new AbortController()
  const timer = clock.after(timeoutMs, () =>
    controller.abort(new CallError('TIMEOUT', `${method} has reached its caller's deadline`)),
  )
  timer.unref()
  const abort = (reason: unknown = new CallError('CANCELLED', `the caller cancelled ${method}`)): void => {
    timer.cancel()
    controller.abort(reason)
  }
  const context = {
    service: service.name,
    method,
    callId,
    attempt,
    deadline,
    remainingMs: () => Math.max(0, deadline - clock.now()),
    signal: controller.signal,
    headers: Object.freeze({ ...options.headers }),
    caller: options.caller ?? 'test',
    state: options.state ?? new Map(),
    progress: (report: unknown) => void reports.push(report),
    fail(code: string, data?: unknown) {
      if (declared.includes(code)) return new DeclaredError(code, data, `${service.name}.${method} failed with ${code}`)
      throw new ConfigError(
        `${service.name}.${method} declares no error ${code}; it declares ${declared.join(', ') || 'none'}`,
      )
    },
    reports,
    abort,
  }
  return context as unknown as FakeContext<S, M> // the contract's types, as a worker gives them to its handlers
}

const PROCESS_CLOCK: Pick<Clock, 'now' | 'after'> = {
  now: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(timer), unref: () => void timer.unref() }
  },
}
