import { afterEach, describe, expect, test, vi } from 'vitest'
import { monotonicMs } from '../../../protocol/clock.ts'
import { createTimerWheel, type TimerWheel } from '../../../protocol/timer-wheel.ts'

const GRANULARITY_MS = 10
const open: TimerWheel[] = []

function createWheel(granularityMs = GRANULARITY_MS): TimerWheel {
  const wheel = createTimerWheel({ granularityMs })
  open.push(wheel)
  return wheel
}

/** Resolves with the time at which it fired. */
function firing(wheel: TimerWheel, at: number): Promise<number> {
  return new Promise((resolve) => wheel.schedule(at, () => resolve(monotonicMs())))
}

afterEach(() => {
  for (const wheel of open.splice(0)) wheel.close()
  vi.useRealTimers()
})

describe('with the real clock', () => {
  test('fires all, none early', async () => {
    const wheel = createWheel()
    const start = monotonicMs()
    const due = Array.from({ length: 60 }, (_, index) => start + index * 5.3)
    const late = await Promise.all(due.map(async (at) => (await firing(wheel, at)) - at))
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
  })

  test('a time that has passed fires at the next chance', async () => {
    const start = monotonicMs()
    expect(await firing(createWheel(), start - 60_000)).toBeGreaterThan(start)
    expect(await firing(createWheel(), -Infinity)).toBeGreaterThan(start)
  })

  test('nothing keeps the process alive after close', () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    const wheel = createWheel()
    expect(timers()).toBe(before)
    wheel.schedule(monotonicMs() + 600_000, () => {})
    expect(timers()).toBe(before + 1)
    wheel.close()
    wheel.schedule(monotonicMs() + 600_000, () => {})
    expect(timers()).toBe(before)
  })
})

/** The clock of these tests stands still and is moved by hand. */
describe('with a clock moved by hand', () => {
  function createHandWheel(): { readonly wheel: TimerWheel; readonly now: () => number } {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    vi.advanceTimersByTime(1007)
    return { wheel: createWheel(), now: monotonicMs }
  }

  test('in order, each once, never early, within two granularities', () => {
    const { wheel, now } = createHandWheel()
    const start = now()
    const fired: { readonly at: number; readonly late: number }[] = []
    for (const delay of [500, 3, 3, 77, 10_239, 10_240, 10_241, 31_000, 123_456]) {
      wheel.schedule(start + delay, () => fired.push({ at: delay, late: now() - start - delay }))
    }
    vi.advanceTimersByTime(200_000)
    expect(fired.map(({ at }) => at)).toEqual([3, 3, 77, 500, 10_239, 10_240, 10_241, 31_000, 123_456])
    for (const { late } of fired) {
      expect(late).toBeGreaterThanOrEqual(0)
      expect(late).toBeLessThanOrEqual(2 * GRANULARITY_MS)
    }
  })

  test('a cancelled one never fires; cancelling twice, late or after close does nothing', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>()
    const other = vi.fn<() => void>()
    const timer = wheel.schedule(now() + 50, fire)
    const done = wheel.schedule(now() + 50, other)
    timer.cancel()
    timer.cancel()
    vi.advanceTimersByTime(1000)
    done.cancel()
    expect(fire).not.toHaveBeenCalled()
    expect(other).toHaveBeenCalledOnce()
    const last = wheel.schedule(now() + 50, fire)
    wheel.close()
    last.cancel()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('one may be scheduled or cancelled while another fires', () => {
    const { wheel, now } = createHandWheel()
    const fired: string[] = []
    const start = now()
    const victim = wheel.schedule(start + 100, () => fired.push('victim'))
    const again = (left: number) => (): void => {
      fired.push(`again ${left}`)
      if (left > 0) wheel.schedule(now(), again(left - 1))
      if (left > 0) wheel.schedule(now() + 10_240, () => fired.push(`revolution ${left}`))
      victim.cancel()
    }
    wheel.schedule(start + 20, again(2))
    vi.advanceTimersByTime(200)
    expect(fired).toEqual(['again 2', 'again 1', 'again 0'])
    vi.advanceTimersByTime(11_000)
    expect(fired.slice(3)).toEqual(['revolution 2', 'revolution 1'])
  })

  test('a passed time that is scheduled while another fires does not wait for a revolution', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>()
    wheel.schedule(now() + 5000, () => wheel.schedule(now() - 4000, fire))
    wheel.schedule(now() + 20, () => {})
    vi.advanceTimersByTime(5050)
    expect(fire).toHaveBeenCalledOnce()
  })

  test('closing while one fires ends the rest', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>(() => wheel.close())
    for (let index = 0; index < 5; index++) wheel.schedule(now() + 50, fire)
    vi.advanceTimersByTime(1000)
    expect(fire).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
    wheel.schedule(now(), fire)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('one that throws does not stop the others', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>()
    wheel.schedule(now() + 50, () => {
      throw new Error('broken')
    })
    wheel.schedule(now() + 50, fire)
    wheel.schedule(now() + 70, fire)
    expect(() => vi.advanceTimersByTime(60)).toThrow('broken')
    vi.advanceTimersByTime(100)
    expect(fire).toHaveBeenCalledTimes(2)
  })

  test('an idle wheel has no timer, a full one has one', () => {
    const { wheel, now } = createHandWheel()
    expect(vi.getTimerCount()).toBe(0)
    for (let index = 0; index < 50; index++) wheel.schedule(now() + 100 + index * 7, () => {})
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(1000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('the longest time-out of a contract is waited for without a warning', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>()
    const set = vi.spyOn(globalThis, 'setTimeout')
    wheel.schedule(now() + 2_147_483_647, fire)
    wheel.schedule(Infinity, fire)
    vi.advanceTimersByTime(60_000)
    expect(Math.max(...set.mock.calls.map(([, delay]) => delay ?? 0))).toBeLessThanOrEqual(2_147_483_647)
    expect(fire).not.toHaveBeenCalled()
  })

  test('after a long pause everything that is due fires at once', () => {
    const { wheel, now } = createHandWheel()
    const fire = vi.fn<() => void>()
    for (let delay = 0; delay < 60_000; delay += 100) wheel.schedule(now() + delay, fire)
    vi.setSystemTime(Date.now() + 60_000) // only the wall clock: nothing may fire
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(60_020)
    expect(fire).toHaveBeenCalledTimes(600)
  })

  test('100,000 timers, nine of ten cancelled', () => {
    const { wheel, now } = createHandWheel()
    const start = now()
    let fired = 0
    let early = 0
    for (let index = 0; index < 100_000; index++) {
      const at = start + 1 + (index % 30_000)
      const timer = wheel.schedule(at, () => {
        fired++
        if (now() < at) early++
      })
      if (index % 10 !== 0) timer.cancel()
    }
    vi.advanceTimersByTime(30_050)
    expect({ fired, early }).toEqual({ fired: 10_000, early: 0 })
    expect(vi.getTimerCount()).toBe(0)
  })
})
