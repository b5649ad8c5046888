/** What a closed loop measured; times in milliseconds. */
export interface LoopFigures {
  readonly calls: number
  readonly errors: number
  readonly elapsedMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The first error's message, as a hint. */
  readonly firstError?: string | undefined
}

export interface LoopOptions {
  /** Calls under way at any time: each caller makes its next call when the one before has ended. */
  readonly outstanding: number
  /** No call begins later. */
  readonly limitMs: number
  /** No more calls than these. @default Infinity */
  readonly count?: number | undefined
}

/** Calls in a closed loop until the time or the count is reached; a caller that had 50 errors gives up. Callers count from 0. */
export async function closedLoop(
  call: (id: number, caller: number) => Promise<unknown>,
  options: LoopOptions,
): Promise<LoopFigures> {
  const { outstanding, limitMs, count = Infinity } = options
  const latencies: number[] = []
  const started = performance.now()
  let begun = 0
  let errors = 0
  let firstError: string | undefined

  async function caller(index: number): Promise<void> {
    while (begun < count && errors < MAX_ERRORS) {
      const before = performance.now()
      if (before - started > limitMs) return
      try {
        await call(begun++, index)
        latencies.push(performance.now() - before)
      } catch (error) {
        errors++
        firstError ??= error instanceof Error ? error.message : String(error)
      }
    }
  }

  await Promise.all(Array.from({ length: Math.min(outstanding, count) }, (_, index) => caller(index)))
  const elapsedMs = performance.now() - started
  const sorted = Float64Array.from(latencies).toSorted()
  const figures = {
    calls: sorted.length,
    errors,
    elapsedMs,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
  }
  return firstError === undefined ? figures : { ...figures, firstError }
}

const MAX_ERRORS = 50

/** @param sorted ascending; NaN if it is empty */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/** Of the figures of several runs; of an even number of runs the lower median. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    min: sorted[0] ?? Number.NaN,
    median: sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  }
}
