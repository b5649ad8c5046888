import type { Partition } from './partition.ts'
import type { Parts } from './parts.ts'

/** Which of a consumer's partitions is next: what is urgent first, of the others each in its turn. */
export interface Turns {
  /** Undefined: nothing may go now. */
  next(parts: Parts): Partition | undefined
  /** Something of it was handed out. */
  went(partition: Partition): void
}

interface TurnOptions {
  readonly hasPriority: boolean
  /** What is urgent has been looked for. */
  readonly onLooked: () => void
}

export function createTurns({ hasPriority, onLooked }: TurnOptions): Turns {
  let turn = 0
  /** Whether it was looked for what is urgent since something else went. */
  let hasLooked = !hasPriority
  let looking: Promise<void> | undefined

  /** Nothing less urgent goes before it was looked for what is more so, as that may have come this moment. */
  function look(parts: Parts): void {
    looking ??= parts.lookAtHigh().finally(() => {
      looking = undefined
      hasLooked = true
      onLooked()
    })
  }

  return {
    next(parts) {
      const all = parts.list()
      let normal: Partition | undefined
      let mayNormal = true
      for (let step = 0; step < all.length; step++) {
        const partition = all[(turn + step) % all.length]
        if (partition?.peek() === undefined || partition.dryUntil > performance.now()) continue
        if (parts.isBlocked(partition))
          mayNormal &&= !partition.isHigh // that one goes in a moment
        else if (partition.isHigh) {
          turn += step + 1
          return partition
        } else normal ??= partition
      }
      if (normal === undefined || !mayNormal) return undefined
      if (!hasLooked) {
        look(parts)
        return undefined
      }
      turn++
      return normal
    },
    went(partition) {
      if (!partition.isHigh) hasLooked = !hasPriority
    },
  }
}
