import { expect, test } from 'vitest'
import {
  BUCKETS_MS,
  DUE_HEADER,
  nextBucketMs,
  remainingMs,
  withoutDue,
} from '../../../broker-adapters/rabbitmq/delays.ts'

const MONTH_MS = 30 * 86_400_000

test('each delay is over after few buckets, none of which is too long', () => {
  for (const delayMs of [0, 1, 499, 500, 501, 60_000, 86_400_000, MONTH_MS]) {
    let leftMs = delayMs
    let hops = 0
    for (let bucketMs = nextBucketMs(leftMs); bucketMs !== undefined; bucketMs = nextBucketMs(leftMs)) {
      leftMs -= bucketMs
      hops++
    }
    expect(leftMs).toBeGreaterThanOrEqual(0)
    expect(leftMs).toBeLessThan(500)
    expect(hops).toBeLessThanOrEqual(BUCKETS_MS.length)
  }
  expect(nextBucketMs(499)).toBeUndefined()
  expect(nextBucketMs(999)).toBe(500)
  expect(nextBucketMs(1_000)).toBe(1_000)
})

test('what is due, or has no readable time, is not waited for', () => {
  expect(remainingMs({ [DUE_HEADER]: '5000' }, 2_000)).toBe(3_000)
  expect(remainingMs({ [DUE_HEADER]: '5000' }, 6_000)).toBe(0)
  for (const due of ['soon', '-1', '1e9', '']) expect(remainingMs({ [DUE_HEADER]: due }, 0)).toBe(0)
  expect(remainingMs({}, 0)).toBe(0)
})

test('the core does not see when it was due', () => {
  expect(withoutDue({ [DUE_HEADER]: '1', a: 'b' })).toEqual({ a: 'b' })
  const others = { a: 'b' }
  expect(withoutDue(others)).toBe(others)
})
