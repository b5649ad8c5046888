import type { ConnectOptions } from '../broker-adapters/broker.ts'
import type { AnyMethod, CallMethod, OneWayMethod, Service, StreamMethod } from '../contract/types.ts'
import type { Counters } from '../protocol/counters.ts'
import type { DeclaredError } from '../protocol/errors.ts'
import type { Middleware } from '../protocol/middleware.ts'

type FailArgs<Data> = undefined extends Data ? [data?: Data] : [data: Data]

/** What a handler knows of the run it is in. `FailArg` and `Prog` come from the contract. */
export interface HandlerContext<FailArg = {}, Prog = never> {
  readonly service: string
  readonly method: string
  readonly callId: string
  /** Counted from 1. */
  readonly attempt: number
  /**
   * Grows each time the broker hands a key over: a store that remembers the highest one can refuse a worker that the broker gave
   * up and that runs on. Undefined for a method that is not keyed.
   */
  readonly fence: number | undefined
  /** Epoch ms at which this run ends: the call's deadline or the attempt's time, what is earlier. Of a stream without an `attemptTimeoutMs`: Infinity. */
  readonly deadline: number
  /** Until `deadline`; never negative. */
  remainingMs(this: void): number
  /** Aborts at `deadline`, when the caller cancels, when the broker gave the call to another worker, and at the end of a drain. */
  readonly signal: AbortSignal
  /** The caller's own, without those that begin with `rt-`. */
  readonly headers: Readonly<Record<string, string>>
  /** Name of the calling client: a claim, not a proof. */
  readonly caller: string
  /** What the worker's middleware put there. */
  readonly state: ReadonlyMap<unknown, unknown>
  /** Reports to the caller on the way: best effort, unconfirmed. Does nothing for a send that is not kept, or after the handler ended. */
  progress(this: void, value: Prog): void
  /** Gives the error to throw: `throw ctx.fail('NOT_FOUND', { path })`. Final: such a call is not tried again. */
  fail<C extends keyof FailArg & string>(
    this: void,
    code: C,
    ...data: FailArgs<FailArg[C]>
  ): DeclaredError<C, FailArg[C]>
}

type Awaitable<T> = T | Promise<T>
type FunctionOf<M extends AnyMethod> =
  M extends CallMethod<unknown, unknown, unknown, infer Arg, infer Ret, infer FailArg, infer Prog, boolean>
    ? (input: Arg, ctx: HandlerContext<FailArg, Prog>) => Awaitable<Ret>
    : M extends StreamMethod<unknown, unknown, unknown, infer Arg, infer Item, infer FailArg>
      ? (input: Arg, ctx: HandlerContext<FailArg>) => AsyncIterable<Item>
      : M extends OneWayMethod<unknown, infer Arg, boolean>
        ? (input: Arg, ctx: HandlerContext) => Awaitable<void>
        : never

/** A function per method of the contract: a plain object, or a class instance. */
export type Handlers<S extends Service> = { readonly [M in keyof S['methods']]: FunctionOf<S['methods'][M]> }
/** One handler in a file of its own: `export const resize: Handler<typeof images, 'resize'> = async (input, ctx) => …` */
export type Handler<S extends Service, M extends keyof S['methods']> = FunctionOf<S['methods'][M]>
// For class methods, which TypeScript gives no contextual types.
export type HandlerInput<S extends Service, M extends keyof S['methods']> = Parameters<Handler<S, M>>[0]
export type HandlerOutput<S extends Service, M extends keyof S['methods']> = Awaited<ReturnType<Handler<S, M>>>
export type ContextOf<S extends Service, M extends keyof S['methods']> = Parameters<Handler<S, M>>[1]

export interface ServeOptions<S extends Service = Service> {
  /** Handlers of one method that run at once. @default the worker's `concurrency` */
  readonly concurrency?: { readonly [M in keyof S['methods']]?: number | undefined } | undefined
  /** For methods whose contract gives none. @default the rest of a call's deadline; a send: 900_000 */
  readonly attemptTimeoutMs?: number | undefined
}

/** Runs handlers for the calls of one group's queues. Made by `createWorker`. */
export interface Worker extends AsyncDisposable {
  /** @throws ConfigError for what is no contract, a missing or surplus handler, a service served twice, or after `start`. */
  serve<S extends Service>(service: S, handlers: Handlers<S>, options?: ServeOptions<S>): this
  /**
   * Resolves when every queue is consumed. Waits for a broker that is away; rejects with BROKER_REFUSED or CONFIG where waiting
   * cannot help, with CLOSED when the worker is closed meanwhile.
   */
  start(): Promise<this>
  /** Starts, drains on SIGTERM or SIGINT, resolves when closed. A second signal ends the process at once. */
  run(): Promise<void>
  /** Names in docs/errors.md. */
  readonly counters: Counters
  health(): WorkerHealth
  /**
   * Takes nothing more, waits until what runs has ended and is answered, then leaves the broker; one made from a URL is closed.
   * Closing again waits for the same; a shorter `graceMs` given then shortens it.
   * @default { graceMs: 20_000 }
   */
  close(options?: { readonly graceMs?: number | undefined }): Promise<void>
}

export interface WorkerOptions {
  /** In replies and errors. @default 'worker' */
  readonly name?: string | undefined
  /** Workers of one group compete for its queues. @default 'default' */
  readonly group?: string | undefined
  /** Handlers that run at once, over all services. @default 10 */
  readonly concurrency?: number | undefined
  /** Unsettled calls held of each service, running and waiting. @default 2 × concurrency */
  readonly prefetch?: number | undefined
  /** Runs once per attempt, after parsing; the first is the outermost. */
  readonly middleware?: readonly Middleware[] | undefined
  /** 'both': parse inputs, check outputs. 'receiver': parse inputs. @default 'both' */
  readonly validate?: 'both' | 'receiver' | 'off' | undefined
  /**
   * Where it answers to besides the inboxes of its namespace, for callers with reply addresses of their own; `*` stands for
   * any characters: `['partner.replies.*']`. @default none
   */
  readonly replyAddresses?: readonly string[] | undefined
}

export type CreateWorkerOptions = WorkerOptions & ConnectOptions

export interface WorkerHealth {
  /**
   * 'starting': not consuming yet, or not again while the broker is away or gives it nothing of what waits. 'blocked': the broker takes nothing at the moment, or
   * every slot is taken by a handler that ran over its time. 'paused': every queue that it serves is paused at the broker, which
   * is seen within 10 s of quiet; one that goes on is seen with its first delivery, or within 5 s.
   */
  readonly state: 'starting' | 'consuming' | 'paused' | 'blocked' | 'draining' | 'closed'
  readonly queues: readonly QueueHealth[]
}

export interface QueueHealth {
  readonly service: string
  readonly group: string
  /** False while it is paused at the broker, as far as that is seen. */
  readonly consuming: boolean
  /** Handlers. */
  readonly running: number
  /** Taken from the broker and neither running nor settled. */
  readonly held: number
  /** Since the last delivery, or since the start. */
  readonly idleMs: number
}
