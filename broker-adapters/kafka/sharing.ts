import type { MemberMode } from './assigner.ts'

/** What a member says of itself when its group shares partitions, and when it asks that they are shared anew. */
export interface Sharing {
  /** What it is now, which is taken for said. */
  say(): MemberMode
  /** It may have become something else than what was said. */
  watch(): void
  /** Asks after this time, unless it is going to ask already. */
  askAfter(ms: number): void
  end(): void
}

export interface SharingOptions {
  readonly mode: () => MemberMode
  readonly ask: () => void
}

/** For so long it must have taken nothing, or be able to take something again, before that is told. */
const MODE_MS = 700

export function createSharing({ mode, ask }: SharingOptions): Sharing {
  let said: MemberMode = 'active'
  let modeTimer: NodeJS.Timeout | undefined
  let asking: NodeJS.Timeout | undefined

  function askAfter(ms: number): void {
    asking ??= setTimeout(() => {
      asking = undefined
      ask()
    }, ms)
  }

  return {
    say: () => (said = mode()),
    /** What is so for a while is told: one that waits may be free for what a busy one has. */
    watch() {
      if (mode() === said) {
        clearTimeout(modeTimer)
        modeTimer = undefined
      } else
        modeTimer ??= setTimeout(() => {
          modeTimer = undefined
          if (mode() !== said) askAfter(0)
        }, MODE_MS)
    },
    askAfter,
    end() {
      clearTimeout(modeTimer)
      clearTimeout(asking)
    },
  }
}
