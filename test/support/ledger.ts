/** Keeps, outside of the system under test, how often which work was entered and finished. */
export interface Ledger {
  enter(key: string): void
  finish(key: string): void
  /** How often it was entered. */
  runs(key: string): number
  finished(key: string): number
  /** Every key that was entered, in the order of the first entry. */
  readonly keys: readonly string[]
  readonly total: number
  /** In the order of all entries. */
  readonly entries: readonly string[]
}

export function createLedger(): Ledger {
  const entries: string[] = []
  const finishes: string[] = []
  return {
    enter: (key) => void entries.push(key),
    finish: (key) => void finishes.push(key),
    runs: (key) => entries.filter((entry) => entry === key).length,
    finished: (key) => finishes.filter((entry) => entry === key).length,
    get keys() {
      return [...new Set(entries)]
    },
    get total() {
      return entries.length
    },
    entries,
  }
}
