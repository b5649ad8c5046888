import type { BrokerCore } from '../broker-adapters/broker.ts'
import type { CallTarget } from './call-state.ts'

/** Who consumes a queue, asked seldom: a time-out names it, `failFast` depends on it. */
export interface QueueWatch {
  /** How many consumers it has; undefined: the broker could not tell. An answer of the last second serves again, unless it was none. */
  look(target: CallTarget): Promise<number | undefined>
  /** What `look` learned since then (of the clock's `monotonic`). */
  seenSince(queueName: string, since: number): Seen | undefined
}

/** Of a queue, when it was asked. */
export interface Seen {
  readonly consumers: number
  readonly isPaused: boolean
}

const FRESH_MS = 1_000

export function createQueueWatch(core: BrokerCore): QueueWatch {
  const seen = new Map<string, Seen & { readonly at: number }>()
  const asking = new Map<string, Promise<number | undefined>>()

  return {
    async look(target) {
      const last = seen.get(target.queueName)
      if (last !== undefined && last.consumers > 0 && core.clock.monotonic() - last.at < FRESH_MS) return last.consumers
      let answer = asking.get(target.queueName)
      if (answer === undefined) {
        answer = ask(target).finally(() => asking.delete(target.queueName))
        asking.set(target.queueName, answer)
      }
      return answer
    },

    seenSince(queueName, since) {
      const last = seen.get(queueName)
      return last !== undefined && last.at >= since ? last : undefined
    },
  }

  async function ask({ queue, queueName }: CallTarget): Promise<number | undefined> {
    try {
      const stats = await core.connected?.stats(queue)
      if (stats === undefined) return undefined
      const { consumers, isPaused } = stats
      seen.set(queueName, { at: core.clock.monotonic(), consumers, isPaused })
      return consumers
    } catch {
      return undefined // the broker is away, or the queue does not exist yet
    }
  }
}
