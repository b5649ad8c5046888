import type { AnyMethod, CallMethod, OneWayMethod, Service, StreamMethod } from '../contract/types.ts'
import type { Counters } from '../protocol/counters.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import type { CallFacts, Issue, Stage } from '../protocol/errors.ts'
import type { Middleware } from '../protocol/middleware.ts'
import type { LetterFilter, QueueStats } from '../broker-adapters/adapter.ts'

/** CallError | RemoteError | BrokerError | ConfigError: the code is one of a closed list. */
export interface LibraryError extends Error, CallFacts {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly issues?: readonly Issue[] | undefined
}
/** An error that the contract declares: code and data are typed. */
export interface TypedError<Code extends string = string, Data = unknown> extends Error, CallFacts {
  readonly code: Code
  readonly data: Data
}
export type DeclaredErrors<Fail> = { [C in keyof Fail & string]: TypedError<C, Fail[C]> }[keyof Fail & string]
export type Outcome<Out, Fail = {}> =
  | { readonly status: 'ok'; readonly value: Out }
  | { readonly status: 'error'; readonly error: LibraryError | DeclaredErrors<Fail> }

interface MessageOptions {
  /** 'high' runs before 'normal'. Only for a method that declares `priority`. @default 'normal' */
  readonly priority?: 'high' | 'normal' | undefined
  /** Travel with the call; names do not begin with `rt-`; at most 8 KiB. Added to those of the stub. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Aborting it cancels the call. */
  readonly signal?: AbortSignal | undefined
  /** Each wait (broker away, no worker, outbox full) is an error at once. @default false */
  readonly failFast?: boolean | undefined
}
export interface CallOptions extends MessageOptions {
  /** Until the outcome, queue time included. @default contract, then client, then 30_000 */
  readonly timeoutMs?: number | undefined
}
/** Keeps the outcome in a mailbox of its own, so that any process can `attach` to the call by its id. */
interface Keeping {
  /** How long after its coming, at least, however often it is read. CONFIG above `capabilities.maxKeepMs`. @default not at all */
  readonly keepMs?: number | undefined
}
export interface StartOptions extends CallOptions, Keeping {
  /**
   * Only with `keepMs`: the call of this id is made once. Where its outcome is kept already, that is the outcome of this one too;
   * while the broker knows the id (`dedupeMs`) it is not stored again. Inputs are not compared. Form and default as for a send.
   */
  readonly id?: string | undefined
}
export interface SendOptions extends MessageOptions {
  /** How long `send` waits until the broker has stored it; then `TIMEOUT`, 'no' if it was still in the outbox. @default 30_000 */
  readonly timeoutMs?: number | undefined
  /** Not run before this time has passed; the broker keeps it meanwhile. @default 0 */
  readonly delayMs?: number | undefined
  /** Not begun after this time; it is then acked and counted by who finds it. Longer than `delayMs`. @default none */
  readonly expiresMs?: number | undefined
  /**
   * Makes the send idempotent: while the broker knows the id (capability `dedupeMs`), a second send of it is not stored again,
   * and resolves all the same; inputs are not compared. 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', not only digits.
   * @default a new one
   */
  readonly id?: string | undefined
}
export interface KeptSendOptions extends SendOptions, Keeping {}
export interface MapOptions extends CallOptions {
  /** Items come in the order of the inputs. @default false: in the order in which they end */
  readonly ordered?: boolean | undefined
}

/** Nothing rejects until somebody looks: no unhandledRejection from a call that is only held. */
export interface Call<Out, Fail = {}, Prog = never> extends Promise<Out> {
  readonly id: string
  readonly stage: Stage | 'settled'
  /** Resolves when the broker has stored the call, or a worker answered it; rejects if the call fails before. */
  stored(): Promise<void>
  /** Never rejects. */
  outcome(): Promise<Outcome<Out, Fail>>
  /** What the handler reported so far (the last 1,000 values) and will report; ends with the call. */
  readonly progress: AsyncIterable<Prog>
  /** A request: the call rejects with CANCELLED within 250 ms and says what is known of `executed`. */
  cancel(reason?: string): void
}
export interface Receipt {
  readonly id: string
}
/** Starts when it is read; leaving the loop early cancels what is under way. */
export interface MapRun<In, Out, Fail = {}> extends AsyncIterable<
  { readonly index: number; readonly input: In } & Outcome<Out, Fail>
> {
  /** All outputs in the order of the inputs; rejects with the first error and cancels the rest. */
  values(): Promise<Out[]>
}

type Inputs<In> = Iterable<In> | AsyncIterable<In>
type Bulk<Options> = Options & {
  /** How many are under way at once. @default 256 */
  readonly inFlight?: number | undefined
}
/** One option object for all, with the key drawn from each input; the run fails if that throws. */
type BulkArgs<In, Options, Keyed> = [Keyed] extends [true]
  ? [inputs: Inputs<In>, options: Bulk<Options> & { readonly key: (input: In) => string }]
  : [inputs: Inputs<In>, options?: Bulk<Options>]
/** A keyed method cannot be called without its key: 1 to 1,024 bytes of text. */
type Args<In, Options, Keyed> = [Keyed] extends [true]
  ? [input: In, options: Options & { readonly key: string }]
  : undefined extends In
    ? [input?: In, options?: Options]
    : [input: In, options?: Options]

export interface SendOnly<In, Keyed = false, Options extends SendOptions = SendOptions> {
  /** Resolves when the broker has stored it. */
  send(...args: Args<In, Options, Keyed>): Promise<Receipt>
  /** Settles when each input is stored or refused; rejects only if `inputs` itself throws. */
  sendMany(...args: BulkArgs<In, Omit<Options, 'id'>, Keyed>): Promise<{
    readonly stored: number
    readonly failed: readonly { readonly index: number; readonly error: LibraryError }[]
  }>
}
export interface AttachOptions {
  /** How long to wait for the outcome. @default as for a call */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}
export interface CallStub<In, Out, Fail = {}, Prog = never, Keyed = false> extends SendOnly<
  In,
  Keyed,
  KeptSendOptions
> {
  (...args: Args<In, CallOptions, Keyed>): Promise<Out>
  start(...args: Args<In, StartOptions, Keyed>): Call<Out, Fail, Prog>
  map(...args: BulkArgs<In, MapOptions, Keyed>): MapRun<In, Out, Fail>
  /**
   * The call with this id, started or sent with `keepMs` by any process: its outcome, now or when it comes. NOT_KEPT if there is
   * none, or it is of another method; TIMEOUT after `timeoutMs`. The signal ends the waiting, `cancel()` cancels the call.
   */
  attach(id: string, options?: AttachOptions): Call<Out, Fail, Prog>
  isDeclaredError(error: unknown): error is DeclaredErrors<Fail>
}
/**
 * Items as they come; published at once, read once. Leaving the loop early ends it at the worker. `timeoutMs` bounds the wait
 * for its start, and then every silence. Nothing rejects until somebody reads.
 */
export interface StreamCall<Item> extends AsyncIterable<Item> {
  readonly id: string
  /** A request: the reader gets CANCELLED within 250 ms. */
  cancel(reason?: string): void
}
export interface StreamStub<In, Item, Fail = {}> {
  (...args: Args<In, CallOptions, false>): StreamCall<Item>
  isDeclaredError(error: unknown): error is DeclaredErrors<Fail>
}
type StubOf<M extends AnyMethod> =
  M extends CallMethod<infer In, infer Out, infer Fail, unknown, unknown, unknown, infer Prog, infer Keyed>
    ? CallStub<In, Out, Fail, Prog, Keyed>
    : M extends StreamMethod<infer In, infer Item, infer Fail, unknown, unknown, unknown>
      ? StreamStub<In, Item, Fail>
      : M extends OneWayMethod<infer In, unknown, infer Keyed>
        ? SendOnly<In, Keyed>
        : never
/** A function per method of the contract. */
export type Stub<S extends Service> = { readonly [M in keyof S['methods']]: StubOf<S['methods'][M]> }

/** Defaults for every call through this stub. */
export interface StubOptions extends Pick<CallOptions, 'timeoutMs' | 'failFast' | 'headers' | 'priority'> {
  /** Which workers: those of this group. @default 'default' */
  readonly group?: string | undefined
}

export interface DeadLetter {
  readonly id: string
  readonly method: string
  readonly reason: string
  readonly attempts: number
  /** Epoch ms. */
  readonly at: number
  readonly error: { readonly code: string }
}
/** Looks at and steers one queue. Rejects with BROKER_UNAVAILABLE while the broker is away. */
export interface QueueAdmin {
  stats(): Promise<QueueStats>
  readonly deadLetters: {
    list(filter?: LetterFilter): AsyncIterable<DeadLetter>
    /**
     * Puts those that fit back into the queue as a new generation: same id and input, attempt 1, no deadline, tried like a send. They
     * answer kept mailboxes again; a promise that waited has its end already. One whose call is still being settled may stay, uncounted.
     * An empty filter means all.
     */
    replay(filter: LetterFilter): Promise<{ readonly count: number }>
    /** An empty filter means all. */
    purge(filter: LetterFilter): Promise<{ readonly count: number }>
  }
  /** Nothing is handed out to any worker, of now or later, until `resume`; what runs goes on, what is called or sent waits. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Removes what waits, ready and delayed; what runs goes on. */
  purge(): Promise<{ readonly count: number }>
}

export interface Client extends AsyncDisposable {
  /** @throws ConfigError for what is no contract or a bad option. */
  service<S extends Service>(service: S, options?: StubOptions): Stub<S>
  queue(service: Service, options?: { readonly group?: string | undefined }): QueueAdmin
  /** Names in docs/errors.md. */
  readonly counters: Counters
  /** Resolves when a call would be published at once. Rejects with BROKER_UNAVAILABLE after `timeoutMs`. @default connectTimeoutMs */
  ready(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /**
   * Takes no more calls, waits for those under way, then rejects the rest with CLOSED and tells workers. Closing again waits for the same; a
   * shorter `graceMs` given then shortens it.
   * @default { graceMs: 20_000 }
   */
  close(options?: { readonly graceMs?: number | undefined }): Promise<void>
}

export type Validate = 'both' | 'receiver' | 'off'
export interface ClientOptions {
  /** Who calls, in `ctx.caller` and errors. @default 'client' */
  readonly name?: string | undefined
  /** @default 30_000 */
  readonly timeoutMs?: number | undefined
  /** @default false */
  readonly failFast?: boolean | undefined
  readonly middleware?: readonly Middleware[] | undefined
  /** 'both': check inputs before sending and parse outputs. 'receiver': parse outputs. @default 'both' */
  readonly validate?: Validate | undefined
  /** What may wait for the broker's confirmation; beyond it OVERLOADED. @default { calls: 100_000, bytes: 67_108_864 } */
  readonly outbox?: { readonly calls?: number | undefined; readonly bytes?: number | undefined } | undefined
  /** How long its inbox outlives the connection. @default 600_000 */
  readonly replyLeaseMs?: number | undefined
}
