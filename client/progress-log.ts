/** What a handler reported, for any number of readers at any time; the oldest values give way. */
export interface ProgressLog {
  push(value: unknown): void
  end(): void
  /** Each reader begins with the oldest value that is kept and ends after `end`. */
  readonly values: AsyncIterable<unknown>
}

const KEPT = 1_000

export function createProgressLog(): ProgressLog {
  const kept: unknown[] = []
  /** How many values gave way. */
  let dropped = 0
  let isEnded = false
  const waiting: (() => void)[] = []
  const wake = (): void => {
    for (const resolve of waiting.splice(0)) resolve()
  }

  async function* read(): AsyncGenerator<unknown> {
    for (let next = dropped; ;) {
      next = Math.max(next, dropped)
      if (next < dropped + kept.length) yield kept[next++ - dropped]
      else if (isEnded) return
      else await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }

  return {
    push(value) {
      if (isEnded) return
      kept.push(value)
      if (kept.length > KEPT) {
        kept.shift()
        dropped++
      }
      wake()
    },
    end() {
      isEnded = true
      wake()
    },
    values: { [Symbol.asyncIterator]: read },
  }
}
