import type { Clock } from '../protocol/clock.ts'
import type { ReplytoError } from '../protocol/errors.ts'
import type { BrokerAdapter, Capabilities } from './adapter.ts'

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug'
  /** What happened, for machines: an error code or a word of docs/errors.md. */
  readonly code: string
  readonly message: string
  /** How many lines of this code and queue were held back since the last one, this one included. */
  readonly count: number
}

export interface ConnectOptions {
  /** @default warnings and errors to stderr, at most one line per code and queue a minute */
  readonly log?: ((line: LogLine) => void) | undefined
  /** Queues of other namespaces are invisible. @default 'replyto' */
  readonly namespace?: string | undefined
  /** How long `connect()` and `ready()` wait for the first connection. @default 10_000 */
  readonly connectTimeoutMs?: number | undefined
  /** Encoded input, output or error data; larger ones fail with PAYLOAD_TOO_LARGE. @default 1_000_000 */
  readonly maxPayloadBytes?: number | undefined
}

export type BrokerState = 'up' | 'down' | 'blocked' | 'closed'

/** A connection that clients and workers of this process share. Made by `connect`. */
export interface Broker extends AsyncDisposable {
  /** For people: without secrets. */
  readonly url: string
  readonly capabilities: Capabilities
  readonly state: BrokerState
  /** Returns the function that ends the listening. */
  onState(listener: (state: BrokerState) => void): () => void
  /** Drains the workers that use it, then the clients, then disconnects. A shorter `graceMs` given later shortens it. */
  close(options?: { readonly graceMs?: number | undefined }): Promise<void>
  /** For clients and workers of any copy of the package. */
  readonly '~core': BrokerCore
}

/** What clients and workers use of a broker. */
export interface BrokerCore {
  readonly url: string
  readonly namespace: string
  /** `<name>.<random>`: unique to this broker object. */
  readonly processId: string
  readonly maxPayloadBytes: number
  readonly connectTimeoutMs: number
  readonly state: BrokerState
  /** All that waits for this broker waits by it. */
  readonly clock: Clock
  /** It was up at some time since then, of the clock's `monotonic`. */
  wasUpSince(monotonicMs: number): boolean
  /** Listens to every change. Returns the function that ends it. */
  onState(listener: (state: BrokerState) => void): () => void
  /** Why no call can be made: BROKER_REFUSED, CONFIG or CLOSED. Undefined again if a broker that refused is up after all. */
  readonly refusal: ReplytoError | undefined
  /** Hears of each refusal. Returns the function that ends it. */
  onRefused(listener: (refusal: ReplytoError) => void): () => void
  /**
   * The adapter after its first connection. Rejects with BROKER_REFUSED (dialling again cannot mend it), CONFIG (a peer
   * dependency is missing) or CLOSED; otherwise waits for ever.
   */
  readonly adapter: Promise<BrokerAdapter>
  /** The same, once it is there. */
  readonly connected: BrokerAdapter | undefined
  /** Waits for the first connection, at most so long; then BROKER_UNAVAILABLE. @default connectTimeoutMs */
  ready(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** At most one line per (code, about) and minute reaches the log. `about`: a queue or what else tells lines apart. */
  log(level: LogLine['level'], code: string, message: string, about?: string): void
  /** `close` is called when the broker closes, workers' before clients'. Returns the function that takes it back. */
  attach(role: 'worker' | 'client', close: (options: { readonly graceMs: number }) => Promise<void>): () => void
}
