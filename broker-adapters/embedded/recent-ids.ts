/** For how long, and at least for how many ids, a finished id is remembered. */
export const DEDUPE_MS = 600_000
const MAX_IDS = 50_000

/** Finished ids in two generations: forgetting the older one is one step, however many it holds. */
export interface RecentIds {
  add(key: string, at: number): void
  has(key: string, now: number): boolean
  entries(): Iterable<readonly [string, number]>
}

export function createRecentIds(): RecentIds {
  let current = new Map<string, number>()
  let previous = new Map<string, number>()
  return {
    add(key, at) {
      if (current.size >= MAX_IDS) {
        previous = current
        current = new Map()
      }
      current.set(key, at)
    },
    has(key, now) {
      const at = current.get(key) ?? previous.get(key)
      return at !== undefined && now - at < DEDUPE_MS
    },
    *entries() {
      yield* previous
      yield* current
    },
  }
}
