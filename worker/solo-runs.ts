import type { HeldCall } from './held-calls.ts'
import type { ServedQueue } from './served-queue.ts'

/** Runs one message that may end its worker with nothing beside it, so that a crash is proved to be its own. */
export interface SoloRuns {
  /** One runs alone or is about to: nothing else may begin, and nothing new comes. */
  readonly isBusy: boolean
  /** Waits until it is alone, then starts it; gives it back if another one is before it. */
  take(call: HeldCall): void
}

export interface SoloRunsOptions {
  readonly queues: readonly ServedQueue[]
  /** Pauses or resumes the subscriptions, as `isBusy` says; resolves when nothing is on its way here any more. */
  readonly updateFlow: () => Promise<void>
  /** Gives all others back that have not begun. */
  readonly giveBackOthers: (call: HeldCall) => void
  readonly giveBack: (call: HeldCall, options?: { readonly delayMs: number }) => void
  readonly start: (call: HeldCall) => void
}

/** A handler that ran over its time and does not end keeps this worker from ever being alone: so long others have it. */
const NEVER_ALONE_DELAY_MS = 5_000

/**
 * What is held here when the process ends is counted as a crash, whoever ended it. So a solo run begins when nothing else is
 * held: all others were given back, and that is stored. Only while it waits for the handlers that run can another one's
 * crash be counted as its own; each message does that twice at most, then it runs alone too.
 */
export function createSoloRuns(options: SoloRunsOptions): SoloRuns {
  const { queues, updateFlow, giveBackOthers, giveBack, start } = options
  let current: HeldCall | undefined

  return {
    get isBusy() {
      return current !== undefined
    },
    take(call) {
      if (current !== undefined) return giveBack(call)
      if (isRunOver(queues)) return giveBack(call, { delayMs: NEVER_ALONE_DELAY_MS })
      current = call
      void runAlone(call)
    },
  }

  async function runAlone(call: HeldCall): Promise<void> {
    let isOut = false
    call.leave = () => (isOut = true)
    const flow = updateFlow()
    giveBackOthers(call)
    await flow
    await Promise.all(queues.map(({ calls }) => calls.whenAtMost(calls === call.queue.calls ? 1 : 0)))
    if (!isOut) {
      call.leave = undefined
      if (isRunOver(queues)) giveBack(call, { delayMs: NEVER_ALONE_DELAY_MS })
      else start(call)
    }
    await call.queue.calls.whenAtMost(0)
    current = undefined
    await updateFlow()
  }
}

/** No call is held for it any more, and its handler still runs. */
function isRunOver(queues: readonly ServedQueue[]): boolean {
  return queues.some(({ running, calls }) => running > calls.all().filter((call) => call.running !== undefined).length)
}
