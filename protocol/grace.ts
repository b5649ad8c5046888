import { monotonicMs } from './clock.ts'

/** The time that a close gives to what is under way. A later close may shorten it, never lengthen it. */
export interface Grace {
  readonly remainingMs: number
  shortenTo(ms: number): void
  /** Hears of each shortening. Returns the function that ends it. */
  onShortened(listener: () => void): () => void
  /** Whether the work ends before the grace does. Leaves no timer behind. */
  isEnoughFor(work: Promise<unknown>): Promise<boolean>
}

export function createGrace(ms: number): Grace {
  const listeners = new Set<() => void>()
  let endsAt = monotonicMs() + ms
  const remainingMs = (): number => Math.max(0, Math.round(endsAt - monotonicMs()))

  return {
    get remainingMs() {
      return remainingMs()
    },
    shortenTo(shorterMs) {
      const shorter = monotonicMs() + shorterMs
      if (shorter >= endsAt) return
      endsAt = shorter
      for (const listener of listeners) listener()
    },
    onShortened,
    async isEnoughFor(work) {
      let timer: NodeJS.Timeout | undefined
      let stop: (() => void) | undefined
      const late = new Promise<boolean>((resolve) => {
        const wait = (): void => {
          clearTimeout(timer)
          timer = setTimeout(resolve, remainingMs(), false)
        }
        stop = onShortened(wait)
        wait()
      })
      try {
        return await Promise.race([work.then(() => true), late])
      } finally {
        clearTimeout(timer)
        stop?.()
      }
    },
  }

  function onShortened(listener: () => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
}

/** A `close` that runs once; whoever calls it again waits for the same, and a grace that is given then may shorten it. */
export function closeOnce(
  defaultGraceMs: number,
  run: (grace: Grace) => Promise<void>,
): (graceMs?: number) => Promise<void> {
  let running: { readonly grace: Grace; readonly closed: Promise<void> } | undefined
  return (graceMs) => {
    if (running === undefined) {
      const grace = createGrace(graceMs ?? defaultGraceMs)
      running = { grace, closed: run(grace) }
    } else if (graceMs !== undefined) running.grace.shortenTo(graceMs)
    return running.closed
  }
}
