import { describeThrown } from './failures.ts'
import type { ServedQueue } from './served-queue.ts'
import type { WorkerParts } from './worker-parts.ts'

export interface SilenceWatchParts extends Pick<WorkerParts, 'tuning' | 'count' | 'options'> {
  readonly core: Pick<WorkerParts['core'], 'state' | 'clock' | 'log'>
}

/** Finds out why a consumer gets nothing: its queue is paused, or messages wait and the broker has forgotten it. */
export interface SilenceWatch {
  /** It was starved when it was last looked at. */
  readonly isSilent: boolean
  /** Its queue was paused when it was last looked at, and nothing came since. */
  readonly isQueuePaused: boolean
  close(): void
}

export interface SilenceWatchOptions {
  readonly queue: ServedQueue
  /** It is there, and is to get what waits. */
  readonly isOpen: () => boolean
  readonly isStarved: () => Promise<boolean>
  /** At the broker, for all. */
  readonly isPaused: () => Promise<boolean>
  /** Takes a new one in its place. */
  readonly rebuild: () => Promise<void>
}

/**
 * Looks each half of the time of silence; two looks have to see the same before it is rebuilt. While something comes more often
 * than that, the broker is asked nothing.
 */
export function watchForSilence(
  { tuning, core, count, options }: SilenceWatchParts,
  watched: SilenceWatchOptions,
): SilenceWatch {
  const { queue, isOpen, isStarved, isPaused, rebuild } = watched
  const lookMs = tuning.silentMs / 2
  let starvedLooks = 0
  let wasPaused = false
  let rebuiltAt = -Infinity
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    void look().finally(() => (isLooking = false))
  }, lookMs)

  return {
    get isSilent() {
      return starvedLooks > 0 && mayBeSilent()
    },
    get isQueuePaused() {
      return wasPaused && isIdleFor(lookMs)
    },
    close: () => clearInterval(timer),
  }

  function mayBeSilent(): boolean {
    return queue.calls.size < options.prefetch && isIdleFor(tuning.silentMs)
  }

  function isIdleFor(ms: number): boolean {
    return isOpen() && core.state === 'up' && core.clock.monotonic() - queue.lastDeliveryAt >= ms
  }

  async function isPausedAsFarAsKnown(): Promise<boolean> {
    try {
      return await isPaused()
    } catch {
      return false // the broker is away: that is said elsewhere
    }
  }

  async function look(): Promise<void> {
    try {
      wasPaused = isIdleFor(lookMs) && (await isPausedAsFarAsKnown())
      const isSeen = !wasPaused && mayBeSilent() && (await isStarved()) && mayBeSilent()
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
