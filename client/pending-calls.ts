import { CallError } from '../protocol/errors.ts'
import type { ScheduledTimer, TimerWheel } from '../protocol/timer-wheel.ts'
import { detailsOf, type CallState } from './call-state.ts'

/**
 * Every call and send that is not settled, by id. A call is registered before it is published, so no reply can come too
 * early; it is removed in one place, so none stays. Knows no socket.
 */
export interface PendingCalls {
  readonly size: number
  add(state: CallState): void
  get(id: string): CallState | undefined
  remove(state: CallState): void
  all(): readonly CallState[]
  /** Resolves when nothing is pending. */
  whenEmpty(): Promise<void>
}

export interface PendingCallsOptions {
  readonly wheel: TimerWheel
  readonly limit: number
  /** Half of a call's time is over and no worker was heard of. */
  readonly onHalfTime: (state: CallState) => void
  readonly onDeadline: (state: CallState) => void
}

export function createPendingCalls({ wheel, limit, onHalfTime, onDeadline }: PendingCallsOptions): PendingCalls {
  const entries = new Map<string, { readonly state: CallState; timer: ScheduledTimer }>()
  const emptied: (() => void)[] = []

  return {
    get size() {
      return entries.size
    },

    add(state) {
      if (entries.size >= limit)
        throw new CallError('OVERLOADED', `${limit} calls of this client are not settled`, detailsOf(state))
      entries.set(state.id, { state, timer: schedule(state) })
    },

    get: (id) => entries.get(id)?.state,

    remove(state) {
      const entry = entries.get(state.id)
      if (entry?.state !== state) return
      entry.timer.cancel()
      entries.delete(state.id)
      if (entries.size === 0) for (const resolve of emptied.splice(0)) resolve()
    },

    all: () => Array.from(entries.values(), ({ state }) => state),

    whenEmpty() {
      return entries.size === 0 ? Promise.resolve() : new Promise((resolve) => emptied.push(resolve))
    },
  }

  /** One timer at a time: at half time it is asked who consumes, so that a time-out can say so. */
  function schedule(state: CallState): ScheduledTimer {
    if (state.kind === 'send') return wheel.schedule(state.endsAt, () => onDeadline(state))
    return wheel.schedule((state.startedAt + state.endsAt) / 2, () => {
      const entry = entries.get(state.id)
      if (entry === undefined) return
      entry.timer = wheel.schedule(state.endsAt, () => onDeadline(state))
      onHalfTime(state)
    })
  }
}
