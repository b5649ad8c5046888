import { CallError } from '../protocol/errors.ts'
import type { TimerWheel } from '../protocol/timer-wheel.ts'
import { detailsOf, type CallState } from './call-state.ts'

/**
 * Every call, by id, and every send and kept call that is not settled. A call is registered before it is published, so no reply can come too
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
  const calls = new Map<string, CallState>()
  /** Not by id: nothing is answered to them at the inbox, and several may be given the same one. */
  const others = new Set<CallState>()
  const count = (): number => calls.size + others.size
  const emptied: (() => void)[] = []

  return {
    get size() {
      return count()
    },

    add(state) {
      if (count() >= limit)
        throw new CallError('OVERLOADED', `${limit} calls of this client are not settled`, detailsOf(state))
      if (state.kind === 'send' || state.kept !== undefined) others.add(state)
      else calls.set(state.id, state)
      state.timer =
        state.kind === 'send'
          ? wheel.schedule(state.endsAt, onDeadline, state)
          : wheel.schedule((state.startedAt + state.endsAt) / 2, passHalfTime, state)
    },

    get: (id) => calls.get(id),

    remove(state) {
      if (calls.get(state.id) === state) calls.delete(state.id)
      else if (!others.delete(state)) return
      state.timer?.cancel()
      if (count() === 0) for (const resolve of emptied.splice(0)) resolve()
    },

    all: () => [...calls.values(), ...others],

    whenEmpty() {
      return count() === 0 ? Promise.resolve() : new Promise((resolve) => emptied.push(resolve))
    },
  }

  /** One timer at a time: at half time it is asked who consumes, so that a time-out can say so. */
  function passHalfTime(state: CallState): void {
    state.timer = wheel.schedule(state.endsAt, onDeadline, state)
    onHalfTime(state)
  }
}
