/** Numbers that a seed reproduces. */
export interface Random {
  /** A whole number from 0 to below `limit`. */
  upTo(limit: number): number
  pick<T>(items: readonly T[]): T
}

/** Mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    upTo: (limit) => Math.floor(next() * limit),
    pick(items) {
      const item = items[Math.floor(next() * items.length)]
      if (item === undefined) throw new Error('there is nothing to pick')
      return item
    },
  }
}

/** REPLYTO_CHAOS_SEED gives a run again: the same strikes on the same processes, and the same calls. */
export function seedOfRun(): number {
  const given = process.env['REPLYTO_CHAOS_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given)
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`REPLYTO_CHAOS_SEED must be a whole number; got ${given}`)
  return seed
}
