import { describe, expect, it } from 'vitest'
import { createHeldCalls, type HeldCall } from '../../../worker/held-calls.ts'
import { NonRetryableError, RetryAfter } from '../../../worker/errors.ts'
import { createLimiter } from '../../../worker/limiter.ts'
import { appendHistory, attemptsOf, retryDelayMs } from '../../../worker/retry-policy.ts'
import { createTombstones } from '../../../worker/tombstones.ts'
import { HEADER } from '../../../protocol/headers.ts'
import { generationKey } from '../../../protocol/replay.ts'

describe('limiter', () => {
  it('runs so many at once, first come first served', () => {
    const limiter = createLimiter(2)
    const begun: string[] = []
    for (const name of ['a', 'b', 'c', 'd']) limiter.wait(limiter.common, () => begun.push(name))
    expect(begun).toEqual(['a', 'b'])
    expect(limiter.isFull).toBe(true)
    limiter.free(limiter.common)
    expect(begun).toEqual(['a', 'b', 'c'])
  })

  it('lets others pass a full lane, and keeps the order of arrival among lanes', () => {
    const limiter = createLimiter(3)
    const slow = limiter.lane(1)
    const begun: string[] = []
    limiter.wait(slow, () => begun.push('slow 1'))
    limiter.wait(slow, () => begun.push('slow 2'))
    limiter.wait(limiter.common, () => begun.push('a'))
    limiter.wait(limiter.common, () => begun.push('b'))
    limiter.wait(limiter.common, () => begun.push('c'))
    expect(begun).toEqual(['slow 1', 'a', 'b'])
    limiter.free(slow)
    expect(begun).toEqual(['slow 1', 'a', 'b', 'slow 2'])
  })

  it('forgets who gave up, and survives slots that are freed at once', () => {
    const limiter = createLimiter(1)
    let count = 0
    limiter.wait(limiter.common, () => {})
    const leave = limiter.wait(limiter.common, () => expect.fail('it gave up its place'))
    for (let i = 0; i < 20_000; i++)
      limiter.wait(limiter.common, () => {
        count++
        limiter.free(limiter.common)
      })
    leave()
    limiter.free(limiter.common)
    expect(count).toBe(20_000)
  })
})

describe('retry policy', () => {
  const facts = { kind: 'call', retry: { attempts: 9, minDelayMs: 100, maxDelayMs: 1000 } } as const

  it('doubles, with full jitter, up to the maximum', () => {
    const delays = [1, 2, 3, 4, 5, 60].map((attempt) =>
      retryDelayMs(facts, { attempt, retryAfterMs: undefined, random: () => 1 }),
    )
    expect(delays).toEqual([100, 200, 400, 800, 1000, 1000])
    expect(retryDelayMs(facts, { attempt: 3, retryAfterMs: undefined, random: () => 0.25 })).toBe(100)
    expect(retryDelayMs(undefined, { attempt: 20, retryAfterMs: undefined, random: () => 1 })).toBe(30_000)
  })

  it('obeys RetryAfter', () => {
    expect(retryDelayMs(facts, { attempt: 1, retryAfterMs: 7777, random: () => 0 })).toBe(7777)
  })

  it('gives a call one attempt and a send five, unless the contract says otherwise', () => {
    expect(attemptsOf({ kind: 'call' }, 'call')).toBe(1)
    expect(attemptsOf({ kind: 'call' }, 'send')).toBe(5)
    expect(attemptsOf(facts, 'call')).toBe(9)
    expect(attemptsOf(undefined, 'send')).toBe(5)
  })

  it('keeps the history on one line and within 2 KiB', () => {
    let history = ''
    for (let attempt = 1; attempt < 50; attempt++)
      history = appendHistory(history, attempt, `Error:\n ${'é'.repeat(200)}\ud83d`)
    expect(Buffer.byteLength(history)).toBeLessThanOrEqual(2048)
    expect(history).toMatch(/attempt 49: Error: é/)
    expect(history).not.toContain('\n')
    expect(history.isWellFormed()).toBe(true)
  })
})

describe('held calls', () => {
  const named = (id: string, headers = {}): HeldCall =>
    ({ message: { id, headers }, stage: 'running' }) as unknown as HeldCall // only these are read

  it('remembers the last finished ids, and not those that may come again', () => {
    const calls = createHeldCalls(3)
    for (const id of ['a', 'b', 'c', 'd']) calls.finish(named(id))
    calls.forget(named('e'))
    expect(['a', 'b', 'c', 'd', 'e'].map((id) => calls.isFinished(id))).toEqual([false, true, true, true, false])
  })

  it('know a replayed call from the one that failed, held or finished', () => {
    const calls = createHeldCalls()
    const [failed, again] = [named('a'), named('a', { [HEADER.replay]: '1' })]
    calls.add(failed)
    expect(calls.get(again.message)).toBeUndefined()
    calls.add(again)
    expect([calls.get(failed.message), calls.get(again.message), calls.ofId('a')]).toEqual([
      failed,
      again,
      [failed, again],
    ])
    calls.finish(failed)
    expect([calls.size, calls.ofId('a')]).toEqual([1, [again]])
    expect([failed, again].map(({ message }) => calls.isFinished(generationKey(message)))).toEqual([true, false])
    calls.finish(again)
    expect([calls.size, calls.isFinished(generationKey(again.message))]).toEqual([0, true])
  })

  it('tells when it is empty', async () => {
    const calls = createHeldCalls()
    const call = named('a')
    calls.add(call)
    const empty = calls.whenAtMost(0)
    calls.forget(call)
    await empty
    await expect(calls.whenAtMost(0)).resolves.toBeUndefined()
  })
})

describe('tombstones', () => {
  it('stay until the deadline and the clocks may differ', () => {
    let now = 1000
    const tombstones = createTombstones(() => now)
    tombstones.add(['a'], 2000)
    expect(tombstones.has('a')).toBe(true)
    now = 7001
    expect(tombstones.has('a')).toBe(false)
  })

  it('are bounded', () => {
    const tombstones = createTombstones(() => 0, 5000)
    for (let i = 0; i < 20_000; i++) tombstones.add([`id-${i}`], 1e12)
    expect(tombstones.has('id-0')).toBe(false)
    expect(tombstones.has('id-19999')).toBe(true)
  })
})

describe('errors for handlers', () => {
  it('are recognised across copies of the package, by their brand', () => {
    const foreign = Object.defineProperty(new Error('x'), '~replyto-handler', { value: 'NonRetryableError' })
    expect(foreign).toBeInstanceOf(NonRetryableError)
    expect(foreign).not.toBeInstanceOf(RetryAfter)
    expect(new RetryAfter(5)).toMatchObject({ ms: 5, name: 'RetryAfter' })
    expect(new RetryAfter(5)).toBeInstanceOf(RetryAfter)
    expect(() => new RetryAfter(NaN)).toThrow(RangeError)
  })

  it('let subclasses mean themselves', () => {
    class Fatal extends NonRetryableError {}
    expect(new Fatal('x')).toBeInstanceOf(Fatal)
    expect(new Fatal('x')).toBeInstanceOf(NonRetryableError)
    expect(new NonRetryableError('x')).not.toBeInstanceOf(Fatal)
  })
})
