import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SYSTEM_CLOCK } from '../../../protocol/clock.ts'
import { createHeldCalls } from '../../../worker/held-calls.ts'
import { resolveWorkerOptions, WORKER_TUNING } from '../../../worker/options.ts'
import type { ServedQueue } from '../../../worker/served-queue.ts'
import { watchForSilence, type SilenceWatch } from '../../../worker/silence-watch.ts'
import { createTombstones } from '../../../worker/tombstones.ts'

const queue: ServedQueue = {
  ref: {
    group: 'default',
    service: 'probe',
    major: 'v1',
    features: { keyed: false, priority: false, frames: false },
  },
  name: 'replyto.q.default.probe.v1',
  version: '1.0.0',
  methods: new Map(),
  calls: createHeldCalls(),
  tombstones: createTombstones(Date.now),
  running: 0,
  lastDeliveryAt: 0,
}

describe('the watch of a consumer', () => {
  let at = 0
  let state: 'up' | 'down' = 'up'
  let isPaused: () => Promise<boolean>
  let isStarved = false
  let asked: string[] = []
  let watch: SilenceWatch

  beforeEach(() => {
    vi.useFakeTimers()
    ;[at, state, isStarved, asked] = [0, 'up', false, []]
    isPaused = async () => false
    queue.lastDeliveryAt = 0
    const clock = { ...SYSTEM_CLOCK, monotonic: () => at }
    const core = {
      clock,
      log: () => void asked.push('log'),
      get state() {
        return state
      },
    }
    const parts = { core, tuning: WORKER_TUNING, options: resolveWorkerOptions({}), count: () => {} }
    watch = watchForSilence(parts, {
      queue,
      isOpen: () => true,
      isPaused: () => (asked.push('paused?'), isPaused()),
      isStarved: async () => (asked.push('starved?'), isStarved),
      rebuild: async () => void asked.push('rebuild'),
    })
  })
  afterEach(() => {
    watch.close()
    vi.useRealTimers()
  })
  const pass = async (ms: number): Promise<void> => {
    at += ms
    await vi.advanceTimersByTimeAsync(ms)
  }

  it('asks nothing of a queue that is busy or a broker that is away', async () => {
    for (let second = 0; second < 60; second++) {
      queue.lastDeliveryAt = at
      await pass(1_000)
    }
    state = 'down'
    await pass(60_000)
    expect(asked).toEqual([])
  })

  it('asks an idle one whether it is paused, twice in the time of silence', async () => {
    await pass(5_000)
    expect(asked).toEqual(['paused?'])
    await pass(5_000)
    expect(asked).toEqual(['paused?', 'paused?', 'starved?'])
  })

  it('never replaces the consumer of a paused queue, and does so when it goes on and nothing comes', async () => {
    isPaused = async () => true
    isStarved = true
    for (let look = 0; look < 20; look++) await pass(5_000)
    expect([watch.isQueuePaused, watch.isSilent, new Set(asked)]).toEqual([true, false, new Set(['paused?'])])
    isPaused = async () => false
    await pass(5_000)
    expect([watch.isQueuePaused, watch.isSilent]).toEqual([false, true])
    await pass(5_000)
    expect(asked.slice(-3)).toEqual(['starved?', 'log', 'rebuild'])
  })

  it('takes a delivery for the end of the pause, before it has looked again', async () => {
    isPaused = async () => true
    await pass(5_000)
    expect(watch.isQueuePaused).toBe(true)
    queue.lastDeliveryAt = at
    expect(watch.isQueuePaused).toBe(false)
  })

  it('still finds a silent consumer where the broker does not tell whether the queue is paused, and logs nothing of that', async () => {
    isPaused = async () => Promise.reject(new Error('not now'))
    isStarved = true
    await pass(5_000)
    await pass(5_000)
    expect([watch.isSilent, asked.includes('log')]).toEqual([true, false])
  })
})
