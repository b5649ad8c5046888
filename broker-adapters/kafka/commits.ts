import { nameOfError } from './failures.ts'
import type { MemberId } from './membership.ts'
import type { Partition } from './partition.ts'
import type { GroupWire } from './wire.ts'

/** Says to the server what is done and what is at work, of all partitions together, one request at a time. */
export interface Commits {
  /** Something has changed. `isUrgent`: something waits for it. */
  plan(isUrgent?: boolean): void
  /**
   * All that has changed, at once. `exact`: nothing more is handed out, and what is said is what others will find. False: it could not
   * be stored.
   */
  flush(options?: { readonly exact?: boolean }): Promise<boolean>
  end(): void
}

interface CommitOptions {
  readonly group: GroupWire
  readonly partitions: () => Iterable<Partition>
  readonly member: () => MemberId | undefined
  /** More may be handed out now. */
  readonly onCommitted: () => void
  /** The group is to be asked what has become of this member. */
  readonly onOutdated: () => void
}

/** Under load so often; a single change goes at once. */
const PAUSE_MS = 100
/** Handed out ahead of what was said, at least. */
const AHEAD = 16

export function createCommits({ group, partitions, member, onCommitted, onOutdated }: CommitOptions): Commits {
  let underWay: Promise<boolean> | undefined
  let timer: NodeJS.Timeout | undefined
  let lastAt = -Infinity
  /** After one that failed it waits. */
  let notBefore = -Infinity
  let isUrgentNext = false
  let isOver = false

  async function commit(exact: boolean): Promise<boolean> {
    const now = member()
    const changed = [...partitions()].filter(({ isDirty }) => isDirty || exact)
    if (changed.length === 0) return true
    if (now === undefined) return false
    lastAt = performance.now()
    isUrgentNext = false
    const said = changed.map((one) => {
      const snapshot = one.window.snapshot(exact ? undefined : Math.max(AHEAD, 2 * one.recent))
      one.isDirty = false
      one.recent = 0
      return { one, snapshot }
    })
    let isStored = true
    try {
      const errors = await group.commit(
        now,
        said.map(({ one: { topic, partition }, snapshot: { offset, metadata } }) => ({
          topic,
          partition,
          offset,
          metadata,
        })),
      )
      for (const [index, { one, snapshot }] of said.entries()) {
        const error = errors[index]
        if (error === undefined) one.window.committed(snapshot)
        else {
          fail(one, error)
          isStored = false
        }
      }
    } catch (error) {
      for (const { one } of said) fail(one, nameOfError(error))
      isStored = false
    }
    onCommitted()
    return isStored
  }

  function fail(one: Partition, error: string): void {
    one.isDirty = true
    notBefore = performance.now() + PAUSE_MS
    if (/REBALANCE_IN_PROGRESS|ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID/.test(error)) onOutdated()
  }

  function start(exact: boolean): Promise<boolean> {
    clearTimeout(timer)
    timer = undefined
    underWay = commit(exact).finally(() => {
      underWay = undefined
      if (!isOver && [...partitions()].some(({ isDirty }) => isDirty)) plan(isUrgentNext)
    })
    return underWay
  }

  function plan(isUrgent = false): void {
    isUrgentNext ||= isUrgent
    if (isOver || underWay !== undefined) return
    const from = isUrgent ? notBefore : Math.max(notBefore, lastAt + PAUSE_MS)
    const waitMs = Math.max(0, from - performance.now())
    if (timer !== undefined && !isUrgent) return
    clearTimeout(timer)
    timer = setTimeout(() => void start(false), waitMs)
  }

  return {
    plan,
    async flush({ exact = false } = {}) {
      while (underWay !== undefined) await underWay
      return start(exact)
    },
    end() {
      isOver = true
      clearTimeout(timer)
    },
  }
}
