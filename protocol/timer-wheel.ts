import { SYSTEM_CLOCK, type Clock, type ClockTimer } from './clock.ts'

export interface ScheduledTimer {
  cancel(): void
}

/** Many deadlines, one timer. Built for timers that are nearly always cancelled: both directions cost a set operation. */
export interface TimerWheel {
  /**
   * Fires once, never before `at` (of the clock's `monotonic`), at most about two granularities after it while the event loop is free.
   * `argument` is passed on, so that no closure has to be made.
   */
  schedule<T>(at: number, fire: (argument: T) => void, argument?: T): ScheduledTimer
  /** Forgets every timer; later ones never fire. */
  close(): void
}

export interface TimerWheelOptions {
  /** @default 10 */
  readonly granularityMs?: number | undefined
  /** @default SYSTEM_CLOCK */
  readonly clock?: Clock | undefined
}

const SLOTS = 1024
/** Node takes a longer delay for 1 ms, with a warning. */
const MAX_SLEEP_MS = 2_147_483_647

/**
 * A hashed timing wheel (Varghese and Lauck, 1987): slot = tick mod 1024, each slot a set. It sleeps until the next slot
 * that holds something, so an idle wheel costs nothing.
 */
export function createTimerWheel({ granularityMs = 10, clock = SYSTEM_CLOCK }: TimerWheelOptions = {}): TimerWheel {
  const slots = Array.from({ length: SLOTS }, () => new Set<Entry>())
  let size = 0
  let isClosed = false
  /** The last tick whose slot was emptied of what was due. */
  let doneTick = Math.floor(clock.monotonic() / granularityMs)
  /** While slots are emptied: what is scheduled meanwhile comes after them, in a slot that is not behind already. */
  let wakeTick: number | undefined
  let sleeper: ClockTimer | undefined
  let wakesAtTick = Infinity

  return {
    schedule<T>(at: number, fire: (argument: T) => void, argument?: T): ScheduledTimer {
      const tick = Math.max(Math.ceil(at / granularityMs), (wakeTick ?? doneTick) + 1)
      const slot = slots[tick % SLOTS]
      const entry = new Entry({ tick, fire, argument, slot, onCancelled })
      if (slot !== undefined && !isClosed) {
        if (size === 0 && wakeTick === undefined) doneTick = Math.max(doneTick, Math.min(tick - 1, currentTick()))
        slot.add(entry)
        size++
        if (tick < wakesAtTick) sleepUntil(tick)
      }
      return entry
    },

    close() {
      isClosed = true
      sleeper?.cancel()
      for (const slot of slots) slot.clear()
      size = 0
    },
  }

  function onCancelled(): void {
    size--
  }

  function currentTick(): number {
    return Math.floor(clock.monotonic() / granularityMs)
  }

  function sleepUntil(tick: number): void {
    sleeper?.cancel()
    wakesAtTick = tick
    const delayMs = Math.ceil(tick * granularityMs - clock.monotonic())
    sleeper = clock.after(Math.min(Math.max(1, delayMs), MAX_SLEEP_MS), wake)
  }

  function wake(): void {
    wakesAtTick = Infinity
    const now = currentTick()
    wakeTick = now
    try {
      // After a long pause (a blocked event loop) each slot is looked at once, not once per missed revolution.
      for (let tick = Math.max(doneTick + 1, now - SLOTS + 1); tick <= now; tick++) fireSlot(tick, now)
      doneTick = Math.max(doneTick, now)
    } finally {
      wakeTick = undefined
      if (size > 0 && !isClosed) sleepUntil(nextFilledTick()) // also behind one that threw: the others' turn comes
    }
  }

  function fireSlot(tick: number, now: number): void {
    const slot = slots[tick % SLOTS]
    if (slot === undefined || slot.size === 0) return
    for (const entry of slot) {
      if (entry.tick > now) continue
      slot.delete(entry)
      size--
      entry.fire()
    }
  }

  /** The next tick whose slot holds something; what waits there for a later revolution is looked at and left. */
  function nextFilledTick(): number {
    for (let tick = doneTick + 1; tick <= doneTick + SLOTS; tick++) {
      if ((slots[tick % SLOTS]?.size ?? 0) > 0) return tick
    }
    return doneTick + SLOTS
  }
}

/** A class, because there is one for every call: the timer and the handle that cancels it are the same object. */
class Entry implements ScheduledTimer {
  readonly tick: number
  readonly #fire: (argument: never) => void
  readonly #argument: unknown
  readonly #slot: Set<Entry> | undefined
  readonly #onCancelled: () => void

  constructor(options: {
    readonly tick: number
    readonly fire: (argument: never) => void
    readonly argument: unknown
    readonly slot: Set<Entry> | undefined
    readonly onCancelled: () => void
  }) {
    this.tick = options.tick
    this.#fire = options.fire
    this.#argument = options.argument
    this.#slot = options.slot
    this.#onCancelled = options.onCancelled
  }

  fire(): void {
    this.#fire(this.#argument as never) // `schedule` takes the two together
  }

  cancel(): void {
    if (this.#slot?.delete(this) === true) this.#onCancelled()
  }
}
