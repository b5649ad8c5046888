import type { Message } from '../protocol/message.ts'
import type { DeadLetterReason, Delivery } from './adapter.ts'

type RetryOptions = Parameters<Delivery['retry']>[0]

/** Where deliveries come from, such as a lane or a partition of keys. It settles them at the server. */
export interface Origin<Raw> {
  /** Waited for between leaving the line and going to the core. False: it is lost meanwhile. */
  prepare?: ((held: Held<Raw>) => Promise<boolean> | undefined) | undefined
  /** Exactly one of these is called, for a delivery that is held and not lost. */
  ack(held: Held<Raw>): void
  release(held: Held<Raw>): void
  /** Resolves when the copy is stored and it is settled, or it is lost. Never rejects. */
  retry(held: Held<Raw>, options: RetryOptions): Promise<void>
  deadLetter(held: Held<Raw>, why: DeadLetterReason): Promise<void>
}

/** @typeParam Raw what the server's library gave, or what of it settles the delivery */
export interface HeldFacts<Raw> {
  readonly raw: Raw
  readonly message: Message
  readonly redelivered: boolean
  readonly handBacks: number
  readonly fence: number | undefined
}

/** A class, as there is one per hand-over, and its methods are then shared, not made anew for each. */
export class Held<Raw> implements Delivery {
  isLost = false
  /** 'copying': a retry or dead letter that is not stored yet. */
  #end: 'open' | 'copying' | 'done' = 'open'
  /** The core has it; before that it may go back unseen. */
  isHandedOver = false
  readonly raw: Raw
  readonly message: Message
  readonly redelivered: boolean
  readonly handBacks: number
  readonly fence: number | undefined
  readonly origin: Origin<Raw>
  readonly #onEnd: (held: Held<Raw>) => void
  #onLost: (() => void) | undefined = undefined

  /** @param onEnd it is settled or lost: its place is free. */
  constructor(
    { raw, message, redelivered, handBacks, fence }: HeldFacts<Raw>,
    origin: Origin<Raw>,
    onEnd: (held: Held<Raw>) => void,
  ) {
    this.raw = raw
    this.message = message
    this.redelivered = redelivered
    this.handBacks = handBacks
    this.fence = fence
    this.origin = origin
    this.#onEnd = onEnd
  }

  onLost(listener: () => void): void {
    this.#onLost = listener
    if (this.isLost) listener()
  }
  /** The server has taken it back. One that is settled stays so. */
  lose(): void {
    if (this.#end === 'done' || this.isLost) return
    this.isLost = true
    this.#onEnd(this)
    this.#onLost?.()
  }

  ack(): void {
    if (!this.#settle('done')) return
    this.origin.ack(this)
    this.#onEnd(this)
  }
  release(): void {
    if (!this.#settle('done')) return
    this.origin.release(this)
    this.#onEnd(this)
  }
  async retry(options: RetryOptions): Promise<void> {
    if (!this.#settle('copying')) return
    await this.origin.retry(this, options)
    this.#finish()
  }
  async deadLetter(why: DeadLetterReason): Promise<void> {
    if (!this.#settle('copying')) return
    await this.origin.deadLetter(this, why)
    this.#finish()
  }

  /** False: somebody was first, or it is lost. */
  #settle(end: 'copying' | 'done'): boolean {
    if (this.#end !== 'open' || this.isLost) return false
    this.#end = end
    return true
  }
  #finish(): void {
    this.#end = 'done'
    if (!this.isLost) this.#onEnd(this)
  }
}
