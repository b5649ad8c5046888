import { ConfigError, DeclaredError, type Handler } from 'replyto'
import { createTestClock, fakeContext } from 'replyto/testing'
import { expect, test } from 'vitest'
import { images } from './contract.ts'

const resize: Handler<typeof images, 'resize'> = ({ width, height }, { fail, progress, attempt }) => {
  progress(width)
  if (width > 100) throw fail('TOO_WIDE', { limit: 100 })
  return { area: width * height * attempt }
}

test('a handler runs with it, and what it reported is kept', async () => {
  const ctx = fakeContext(images, 'resize', { attempt: 2, headers: { tenant: 'a' } })
  expect(await resize({ width: 3, height: 2 }, ctx)).toEqual({ area: 12 })
  const reports: readonly number[] = ctx.reports
  expect(reports).toEqual([3])
  expect(ctx).toMatchObject({ service: 'images', method: 'resize', attempt: 2, callId: 'test-call', caller: 'test' })
  expect(ctx.headers).toEqual({ tenant: 'a' })
  expect(ctx.state.size).toBe(0)
})

test('fail makes the declared error that a caller would get', () => {
  const ctx = fakeContext(images, 'resize')
  expect(() => resize({ width: 101, height: 1 }, ctx)).toThrow(DeclaredError)
  expect(ctx.fail('TOO_WIDE', { limit: 1 })).toMatchObject({ code: 'TOO_WIDE', data: { limit: 1 } })
  // @ts-expect-error not of the contract
  expect(() => ctx.fail('TOO_SMALL')).toThrow('images.resize declares no error TOO_SMALL; it declares TOO_WIDE')
})

test('its signal aborts by hand, or at the deadline of a clock that is moved', async () => {
  const clock = createTestClock()
  const timed = fakeContext(images, 'slow', { clock, timeoutMs: 5_000 })
  expect(timed.remainingMs()).toBeGreaterThan(4_000)
  await clock.advance(5_000)
  expect(timed.signal.reason).toMatchObject({ code: 'TIMEOUT' })
  expect(timed.remainingMs()).toBe(0)

  const cancelled = fakeContext(images, 'slow')
  expect(cancelled.signal.aborted).toBe(false)
  cancelled.abort()
  expect(cancelled.signal.reason).toMatchObject({ code: 'CANCELLED' })
})

test('a method that the contract does not have is refused', () => {
  // @ts-expect-error no such method
  expect(() => fakeContext(images, 'missing')).toThrow(ConfigError)
})
