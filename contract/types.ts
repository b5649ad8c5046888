import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { ErrorCode } from '../protocol/error-codes.ts'

// Which types a contract gives to both sides. Data only, marked by string keys: contracts made by another copy of the
// package are the same types and the same values.

export type Schema = StandardSchemaV1

export interface RetryOptions {
  /** Runs in all, the first included; at least 1. @default 1 for a call, 5 for a send */
  readonly attempts?: number | undefined
  /** Wait before the second attempt, at most; doubled for each further one, with full jitter. @default 200 */
  readonly minDelayMs?: number | undefined
  /** No wait is longer. @default 30_000 */
  readonly maxDelayMs?: number | undefined
}

export interface MethodTimes {
  /** How long a caller waits for the outcome, queue time included. @default 30_000 */
  readonly timeoutMs?: number | undefined
  /** How long one run may take before its signal aborts. @default the rest of the call's deadline; a send: 900_000 */
  readonly attemptTimeoutMs?: number | undefined
  /** Running it twice does no harm; permits later features to start a second attempt. @default false */
  readonly idempotent?: boolean | undefined
  readonly retry?: RetryOptions | undefined
}

/** What the sender passes: the schema's input side, which is also what is on the wire. */
type Sent<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferInput<S> : void
/** What the receiver gets: after defaults and transforms. */
type Received<S> = S extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<S> : void
// `E extends infer X` makes hovers show the data and not the schemas
type SentErrors<E> = E extends infer X ? { [C in keyof X]: Sent<X[C]> } : never
type ReceivedErrors<E> = E extends infer X ? { [C in keyof X]: Received<X[C]> } : never

export type ErrorSchemas = { readonly [code: string]: Schema }
type Reserved = { readonly [code in ErrorCode]?: 'this code belongs to replyto: choose another name' }

/** One type parameter per field, so that TypeScript still checks for misspelt fields. */
export interface MethodDefinition<I, O, Y, E, P, W, K> extends MethodTimes {
  /** What the caller passes. Left out: nothing. */
  readonly input?: I | undefined
  /** What the handler returns. Left out: nothing. */
  readonly output?: O | undefined
  /** A stream of replies: what each item is. The handler gives an AsyncIterable, and so does the stub. */
  readonly yields?: ([O] extends [Schema] ? 'a method has output or yields, not both' : Y) | undefined
  /** Typed, final failures by code; the schema is that of the error's `data`. */
  readonly errors?: (E & Reserved) | undefined
  /** What `ctx.progress` reports on the way. */
  readonly progress?: P | undefined
  /** Only `send`: nobody waits for an outcome. */
  readonly oneWay?:
    | ([O] extends [Schema]
        ? 'a oneWay method has no output'
        : [Y] extends [Schema]
          ? 'a oneWay method yields nothing'
          : W)
    | undefined
  /** Calls carry a `key`; calls of one key run in order, one at a time. Part of the queue's topology. @default false */
  readonly keyed?: ([Y] extends [Schema] ? 'a stream cannot be keyed' : K) | undefined
  /** Calls may say `priority: 'high'`. Part of the queue's topology. @default false */
  readonly priority?:
    ([K] extends [true] ? 'a keyed method keeps an order, which a priority breaks' : boolean) | undefined
}

/** In, Out: what the client passes and gets. Arg, Ret: what the handler gets and returns. They differ where a schema transforms. */
export interface CallMethod<
  In,
  Out,
  Fail = {},
  Arg = In,
  Ret = Out,
  FailArg = Fail,
  Prog = never,
  Keyed extends boolean = false,
> {
  readonly kind: 'call'
  readonly '~types'?: {
    in: In
    out: Out
    fail: Fail
    arg: Arg
    ret: Ret
    failArg: FailArg
    progress: Prog
    keyed: Keyed
  }
}
export interface StreamMethod<In, Item, Fail = {}, Arg = In, RetItem = Item, FailArg = Fail> {
  readonly kind: 'stream'
  readonly '~types'?: { in: In; out: Item; fail: Fail; arg: Arg; ret: RetItem; failArg: FailArg }
}
export interface OneWayMethod<In, Arg = In, Keyed extends boolean = false> {
  readonly kind: 'oneWay'
  readonly '~types'?: { in: In; arg: Arg; keyed: Keyed }
}
export type AnyMethod =
  | CallMethod<unknown, unknown, unknown, unknown, unknown, unknown, unknown, boolean>
  | StreamMethod<unknown, unknown, unknown, unknown, unknown, unknown>
  | OneWayMethod<unknown, unknown, boolean>

export type MethodOf<I, O, Y, E, P, W, K extends boolean> = [W] extends [true]
  ? OneWayMethod<Sent<I>, Received<I>, K>
  : [Y] extends [Schema]
    ? StreamMethod<Sent<I>, Received<Y>, ReceivedErrors<E>, Received<I>, Sent<Y>, SentErrors<E>>
    : CallMethod<
        Sent<I>,
        Received<O>,
        ReceivedErrors<E>,
        Received<I>,
        Sent<O>,
        SentErrors<E>,
        P extends Schema ? Received<P> : never,
        K
      >

export interface Service<
  Name extends string = string,
  Methods extends Record<string, AnyMethod> = Record<string, AnyMethod>,
> {
  readonly '~replyto': 1
  readonly name: Name
  readonly version: string
  readonly encoding: 'cbor' | 'json'
  readonly methods: Methods
}

// A contract from a TypeScript interface or class: types only; the names must exist at run time. A method that gives an
// AsyncIterable is a stream: its definition says `stream: true`, since the types are gone at run time.
export type FromFunction<F> = F extends (input: infer I, ...rest: never[]) => AsyncIterable<infer Item>
  ? StreamMethod<I, Item>
  : F extends () => infer R
    ? CallMethod<void, Awaited<R>>
    : F extends (input: infer I, ...rest: never[]) => infer R
      ? CallMethod<I, Awaited<R>>
      : never
export type MethodNames<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => unknown ? K : never
}[keyof T] &
  string
/** Of one method of `methodsOf`. */
export type TimesOf<F> = F extends (...args: never[]) => AsyncIterable<unknown>
  ? MethodTimes & { readonly stream: true }
  : MethodTimes & { readonly stream?: never }
