import type { Clock, ClockTimer } from 'replyto/adapter'

/** A clock that runs as usual, and can be moved ahead: for one broker, nothing global is patched. */
export interface TestClock extends Clock {
  /**
   * So much time passes at once: what is due in it happens in its order, each thing at its own time, and what it sets off
   * settles before the next, as far as it waits for nothing outside of the process. Meanwhile the clock stands still.
   * Retries up to 5 s and deadlines come up to 20 ms late, as they do in a worker.
   *
   * @throws RangeError if `ms` is no finite number ≥ 0
   */
  advance(ms: number): Promise<void>
}

/** Turns of the event loop in which a message goes from the broker to a handler and its reply back. */
const SETTLING_TURNS = 20

export function createTestClock(): TestClock {
  const timers = new Set<TestTimer>()
  const startedAt = Date.now() - performance.now()
  let aheadMs = 0
  /** The time at which it stands while it is moved. */
  let standsAt: number | undefined
  let isMoving = false
  const monotonic = (): number => standsAt ?? performance.now() + aheadMs

  return {
    now: () => Math.floor(startedAt + monotonic()),
    monotonic,
    after(delayMs, fire) {
      const timer = createTimer(monotonic() + delayMs, { fire, timers, isStanding: () => standsAt !== undefined })
      timers.add(timer)
      timer.waitFor(delayMs)
      return timer
    },
    async advance(ms) {
      if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`advance takes milliseconds ≥ 0; got ${String(ms)}`)
      if (isMoving) throw new Error('the clock is being moved already: await advance() first')
      isMoving = true
      try {
        await settle() // what was begun before registers its timers first
        standsAt = monotonic()
        await moveTo(standsAt + ms)
      } finally {
        aheadMs = monotonic() - performance.now()
        standsAt = undefined
        isMoving = false
        for (const timer of timers) timer.waitFor(timer.dueAt - monotonic())
      }
    },
  }

  async function moveTo(until: number): Promise<void> {
    for (let next = earliest(timers); next !== undefined && next.dueAt <= until; next = earliest(timers)) {
      standsAt = Math.max(standsAt ?? 0, next.dueAt)
      next.run()
      await settle()
    }
    standsAt = until
    await settle()
  }
}

interface TestTimer extends ClockTimer {
  readonly dueAt: number
  run(): void
  /** It is so far away from now on. */
  waitFor(ms: number): void
}

/** A real timer beside it lets the time pass by itself too; while the clock stands, only `advance` runs it. */
function createTimer(
  dueAt: number,
  {
    fire,
    timers,
    isStanding,
  }: { readonly fire: () => void; readonly timers: Set<TestTimer>; readonly isStanding: () => boolean },
): TestTimer {
  let real: NodeJS.Timeout | undefined
  let isUnref = false
  const timer: TestTimer = {
    dueAt,
    run() {
      timer.cancel()
      fire()
    },
    waitFor(ms) {
      clearTimeout(real)
      real = setTimeout(() => !isStanding() && timer.run(), Math.max(0, ms))
      if (isUnref) real.unref()
    },
    cancel() {
      clearTimeout(real)
      timers.delete(timer)
    },
    unref() {
      isUnref = true
      real?.unref()
    },
  }
  return timer
}

function earliest(timers: Iterable<TestTimer>): TestTimer | undefined {
  let first: TestTimer | undefined
  for (const timer of timers) if (first === undefined || timer.dueAt < first.dueAt) first = timer
  return first
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLING_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
}
