import type { QueueRef } from '../protocol/message.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCalls } from './held-calls.ts'
import type { Tombstones } from './tombstones.ts'

/** One queue that this worker consumes, and what it knows of it. */
export interface ServedQueue {
  readonly ref: QueueRef
  readonly name: string
  /** Of the contract that is served here. */
  readonly version: string
  readonly methods: ReadonlyMap<string, ServedMethod>
  readonly calls: HeldCalls
  readonly tombstones: Tombstones
  /** Handlers, those that ran over their time included. */
  running: number
  /** Monotonic ms. */
  lastDeliveryAt: number
}
