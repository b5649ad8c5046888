import type { BrokerCore } from '../broker-adapters/broker.ts'
import type { CallTarget } from './call-state.ts'

/** Who consumes a queue, asked seldom: a time-out names it, `failFast` depends on it. */
export interface QueueWatch {
  /** How many consumers it has; undefined: the broker could not tell. An answer of the last second serves again, unless it was none. */
  look(target: CallTarget): Promise<number | undefined>
  /** What `look` learned since then (of the clock's `monotonic`). */
  seenSince(queueName: string, since: number): number | undefined
}

const FRESH_MS = 1_000

export function createQueueWatch(core: BrokerCore): QueueWatch {
  const seen = new Map<string, { readonly at: number; readonly consumers: number }>()
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
      return last !== undefined && last.at >= since ? last.consumers : undefined
    },
  }

  async function ask({ queue, queueName }: CallTarget): Promise<number | undefined> {
    try {
      const consumers = (await core.connected?.stats(queue))?.consumers
      if (consumers !== undefined) seen.set(queueName, { at: core.clock.monotonic(), consumers })
      return consumers
    } catch {
      return undefined // the broker is away, or the queue does not exist yet
    }
  }
}
