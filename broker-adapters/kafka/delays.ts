// A delay is a way through buckets, partitions in which everything lies equally long, so that what is due first is first. What is left at the
// end is waited for where it is consumed.

/** So short that the consumer waits for it. ms */
export const SHORT_MS = 1_000
/** From a second to 48 days, each four times the one before. */
export const BUCKETS_MS: readonly number[] = Array.from({ length: 12 }, (_, power) => SHORT_MS * 4 ** power)

/** The partition in which to wait next; undefined: it is too short for any. */
export function bucketFor(remainingMs: number): number | undefined {
  const bucket = BUCKETS_MS.findLastIndex((bucketMs) => bucketMs <= remainingMs)
  return bucket < 0 ? undefined : bucket
}
