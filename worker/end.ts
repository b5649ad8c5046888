import { CallError } from '../protocol/errors.ts'

/** The end of a worker, for those who wait for something before it. */
export interface End {
  /** What is waited for, unless the worker is closed before: then CLOSED. */
  orBefore<T>(work: Promise<T>): Promise<T>
  readonly closed: Promise<void>
  readonly isComplete: boolean
  begin(): void
  complete(): void
}

export function createEnd(): End {
  const stops = new Set<() => void>()
  let isBegun = false
  let isComplete = false
  let resolveClosed: (() => void) | undefined
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve
  })
  return {
    closed,
    get isComplete() {
      return isComplete
    },
    orBefore: (work) =>
      new Promise((resolve, reject) => {
        const stop = (): void => reject(new CallError('CLOSED', 'the worker was closed before it had started'))
        if (isBegun) stop()
        stops.add(stop)
        work.then(resolve, reject).finally(() => stops.delete(stop))
      }),
    begin() {
      isBegun = true
      for (const stop of stops) stop()
    },
    complete() {
      isComplete = true
      resolveClosed?.()
    },
  }
}
