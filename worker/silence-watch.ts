import { describeThrown } from './failures.ts'
import type { ServedQueue } from './served-queue.ts'
import type { WorkerParts } from './worker-parts.ts'

/** Finds out that a consumer gets nothing although messages wait for it, as when a broker has forgotten it. */
export interface SilenceWatch {
  /** It was starved when it was last looked at. */
  readonly isSilent: boolean
  close(): void
}

export interface SilenceWatchOptions {
  readonly queue: ServedQueue
  /** It is there, and is to get what waits. */
  readonly isOpen: () => boolean
  readonly isStarved: () => Promise<boolean>
  /** Takes a new one in its place. */
  readonly rebuild: () => Promise<void>
}

/** Two looks, half the time of silence apart, have to see the same before it is rebuilt. */
export function watchForSilence(
  { tuning, core, count, options }: WorkerParts,
  watched: SilenceWatchOptions,
): SilenceWatch {
  const { queue, isOpen, isStarved, rebuild } = watched
  let starvedLooks = 0
  let rebuiltAt = -Infinity
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    void look().finally(() => (isLooking = false))
  }, tuning.silentMs / 2)

  return {
    get isSilent() {
      return starvedLooks > 0 && mayBeSilent()
    },
    close: () => clearInterval(timer),
  }

  function mayBeSilent(): boolean {
    const hasFreeCredit = queue.calls.size < options.prefetch
    return (
      isOpen() &&
      core.state === 'up' &&
      hasFreeCredit &&
      core.clock.monotonic() - queue.lastDeliveryAt >= tuning.silentMs
    )
  }

  async function look(): Promise<void> {
    try {
      const isSeen = mayBeSilent() && (await isStarved()) && mayBeSilent()
      starvedLooks = isSeen ? starvedLooks + 1 : 0
      if (starvedLooks < 2 || core.clock.monotonic() - rebuiltAt < tuning.rebuildMs) return
      rebuiltAt = core.clock.monotonic()
      count('consumersRebuilt')
      const text = `the consumer of ${queue.name} gets nothing although messages wait: it is replaced`
      core.log('warn', 'SILENT_CONSUMER', text, queue.name)
      await rebuild()
    } catch (error) {
      core.log('warn', 'SILENT_CONSUMER', `the consumer of ${queue.name}: ${describeThrown(error)}`, queue.name)
    }
  }
}
