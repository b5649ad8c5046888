/** Counted since start; the names are listed in docs/errors.md. A name appears once it was counted. */
export type Counters = Readonly<Record<string, number>>

export interface CounterSet {
  readonly counts: Counters
  add(name: string, by?: number): void
}

export function createCounters(): CounterSet {
  const counts: Record<string, number> = {}
  return {
    counts,
    add(name, by = 1) {
      counts[name] = (counts[name] ?? 0) + by
    },
  }
}
