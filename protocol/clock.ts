/**
 * Where a broker's clients, workers and its memory broker get their time from: this process's own, or a test's, which can
 * move ahead. Deadlines on the wire are `now`, waiting is `monotonic`.
 */
export interface Clock {
  /** Epoch ms. */
  now(this: void): number
  /** Milliseconds that only grow, whatever is done to the wall clock. */
  monotonic(this: void): number
  /** Once, not before `delayMs` (at most 2^31 - 1) have passed. */
  after(this: void, delayMs: number, fire: () => void): ClockTimer
}

export interface ClockTimer {
  cancel(): void
  /** It does not keep the process alive. */
  unref(): void
}

export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(timer), unref: () => void timer.unref() }
  },
}

/** Of this process, whatever a test's clock says: for what nobody has to wait for in a test. */
export function monotonicMs(): number {
  return performance.now()
}
