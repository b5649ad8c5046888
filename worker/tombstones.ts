import { CLOCK_TOLERANCE_MS } from '../protocol/deadline.ts'

/** Ids of calls that were cancelled before they came here. */
export interface Tombstones {
  /** `until`: epoch ms by the caller's clock. */
  add(ids: readonly string[], until: number): void
  has(id: string): boolean
}

const MAX_TOMBSTONES = 100_000

/** Bounded: above `max` the oldest are forgotten, and such a call runs although nobody waits. */
export function createTombstones(now: () => number, max: number = MAX_TOMBSTONES): Tombstones {
  const untilOf = new Map<string, number>()
  let sweepAt = 1000

  return {
    add(ids, until) {
      const keepUntil = until + CLOCK_TOLERANCE_MS
      if (keepUntil < now()) return
      for (const id of ids) {
        untilOf.delete(id)
        untilOf.set(id, keepUntil)
      }
      if (untilOf.size > sweepAt) sweep()
    },
    has(id) {
      const until = untilOf.get(id)
      return until !== undefined && until >= now()
    },
  }

  /** Down to half of the maximum, so that a full map is not swept at every id. */
  function sweep(): void {
    for (const [id, until] of untilOf) if (until < now()) untilOf.delete(id)
    if (untilOf.size > max) {
      for (const id of untilOf.keys()) {
        if (untilOf.size <= max / 2) break
        untilOf.delete(id)
      }
    }
    sweepAt = Math.min(max, Math.max(1000, untilOf.size * 2))
  }
}
