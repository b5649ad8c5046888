import { expect, test } from 'vitest'
import { bucketFor, BUCKETS_MS, SHORT_MS } from '../../../broker-adapters/kafka/delays.ts'

const DAY_MS = 86_400_000

test('each bucket is four times as long as the one before, from a second to weeks', () => {
  expect(BUCKETS_MS[0]).toBe(SHORT_MS)
  expect(BUCKETS_MS.slice(1).map((bucketMs, at) => bucketMs / (BUCKETS_MS[at] ?? NaN))).toEqual(
    BUCKETS_MS.slice(1).map(() => 4),
  )
  expect(BUCKETS_MS.at(-1)).toBeGreaterThan(30 * DAY_MS)
})

test.each([SHORT_MS, SHORT_MS + 1, 60_000, DAY_MS, 30 * DAY_MS, 400 * DAY_MS])(
  'a delay of %d ms is over after few buckets, none of which is too long',
  (delayMs) => {
    let leftMs = delayMs
    let hops = 0
    for (let bucket = bucketFor(leftMs); bucket !== undefined; bucket = bucketFor(leftMs)) {
      leftMs -= BUCKETS_MS[bucket] ?? NaN
      hops++
    }
    expect(leftMs).toBeGreaterThanOrEqual(0)
    expect(leftMs).toBeLessThan(SHORT_MS)
    expect(hops).toBeLessThanOrEqual(3 * BUCKETS_MS.length + 10)
  },
)

test('what is shorter than any, or over, is for no bucket', () => {
  for (const leftMs of [SHORT_MS - 1, 0, -5, -Infinity, NaN]) expect(bucketFor(leftMs)).toBeUndefined()
  expect([SHORT_MS, 4 * SHORT_MS - 1, 4 * SHORT_MS, Infinity].map((leftMs) => bucketFor(leftMs))).toEqual([
    0,
    0,
    1,
    BUCKETS_MS.length - 1,
  ])
})
