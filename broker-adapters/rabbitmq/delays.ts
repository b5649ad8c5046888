import { integerHeader } from '../../protocol/headers.ts'

// A delay is a way through buckets, queues in which everything lies equally long: per-message times would let a long one hold
// up the short ones behind it. What is left at the end, less than the smallest bucket, is waited for by the consumer.

/** When it is due, epoch ms; only on the way. */
export const DUE_HEADER = 'rt-due'

/** Powers of two from half a second to 24 days. */
export const BUCKETS_MS: readonly number[] = Array.from({ length: 23 }, (_, power) => 500 * 2 ** power)

/** Into which bucket next; undefined: so short that the consumer waits for it. */
export function nextBucketMs(remainingMs: number): number | undefined {
  return BUCKETS_MS.findLast((bucketMs) => bucketMs <= remainingMs)
}

/** How long until it is due; 0: it is. */
export function remainingMs(headers: Readonly<Record<string, string>>, now: number): number {
  return Math.max(0, (integerHeader(headers, DUE_HEADER) ?? 0) - now)
}

export function withoutDue(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (headers[DUE_HEADER] === undefined) return headers
  const { [DUE_HEADER]: _, ...others } = headers
  return others
}
