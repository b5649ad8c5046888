import type { GroupCommit } from './group-commit.ts'

/**
 * Numbers for the hand-overs of keyed messages, which only ever grow, whichever process is the hub: a hub uses none that is
 * not below the one it has stored before.
 */
export interface Fences {
  load(value: Buffer): void
  /** Begins to store more, if there are few. Called with the first message that needs one, it costs no commit of its own. */
  prepare(): void
  /** Undefined: none is stored yet; `onPrepared` says when. */
  next(): number | undefined
}

const NAME = 'fence'
/** 2^53 ÷ 2^20 is more hubs than there will ever be. */
const BLOCK = 2 ** 20

export function createFences({
  commit,
  onPrepared,
}: {
  readonly commit: GroupCommit
  readonly onPrepared: () => void
}): Fences {
  let last = 0
  let limit = 0
  let isPreparing = false

  function prepare(): void {
    if (isPreparing || limit - last > BLOCK / 2) return
    isPreparing = true
    const next = limit + BLOCK
    const value = Buffer.alloc(8)
    value.writeDoubleBE(next)
    commit.putName('counters', NAME, value)
    commit.afterwards(() => {
      isPreparing = false
      limit = next
      onPrepared()
    })
  }

  return {
    load(value) {
      last = value.readDoubleBE(0)
      limit = last
    },
    prepare,
    next() {
      prepare()
      return last < limit ? ++last : undefined
    },
  }
}
