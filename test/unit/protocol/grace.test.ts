import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { closeOnce, createGrace, type Grace } from '../../../protocol/grace.ts'

const never = new Promise<never>(() => {})

/** performance.now() stands still but for `advanceTimersByTime`. */
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a grace', () => {
  it('is enough for what ends before, and leaves no timer behind', async () => {
    expect(await createGrace(100).isEnoughFor(Promise.resolve())).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('passes on the error of what fails, without a timer', async () => {
    await expect(createGrace(100).isEnoughFor(Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is over when its time is, and can be shortened, not lengthened', async () => {
    const grace = createGrace(1000)
    let isEnough: boolean | undefined
    void grace.isEnoughFor(never).then((value) => (isEnough = value))
    await vi.advanceTimersByTimeAsync(400)
    expect(grace.remainingMs).toBe(600)
    grace.shortenTo(5000)
    expect(grace.remainingMs).toBe(600)
    grace.shortenTo(100)
    await vi.advanceTimersByTimeAsync(99)
    expect(isEnough).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    expect([isEnough, grace.remainingMs, vi.getTimerCount()]).toEqual([false, 0, 0])
  })
})

it('closeOnce runs once; only a grace that is given and shorter changes what runs', async () => {
  const graces: Grace[] = []
  const close = closeOnce(1000, async (grace) => {
    graces.push(grace)
    await grace.isEnoughFor(never)
  })
  const closed = close(2000)
  expect(close()).toBe(closed)
  expect(close(3000)).toBe(closed)
  expect(graces.map(({ remainingMs }) => remainingMs)).toEqual([2000])
  expect(close(5)).toBe(closed)
  await vi.advanceTimersByTimeAsync(5)
  await closed
})
