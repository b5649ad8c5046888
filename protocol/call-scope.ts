import { AsyncLocalStorage } from 'node:async_hooks'

/** What a running handler hands down to the calls that are made inside it. */
export interface CallScope {
  /** Epoch ms: nested calls end no later. */
  readonly deadline: number
  /** 1 for a call made inside a handler whose own call was made outside of any. */
  readonly depth: number
  /** The queue that the handler serves. */
  readonly queue: string
  /** Every slot of the worker is taken: a nested call to its own queue can only wait. */
  isPoolFull(): boolean
  readonly signal: AbortSignal
}

export const MAX_CALL_DEPTH = 32

/** Follows the handler through its awaits; empty outside of handlers. */
export const callScope = new AsyncLocalStorage<CallScope>()
