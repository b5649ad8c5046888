import { nextGeneration } from '../../protocol/replay.ts'
import type { BrokerAdapter, LetterFilter, StoredDeadLetter } from '../adapter.ts'
import { fitsLetter } from '../letter-filter.ts'
import { handOut, store, type MemoryQueue } from './memory-broker.ts'

export function memoryLetters(queue: MemoryQueue, now: () => number): ReturnType<BrokerAdapter['deadLetters']> {
  /** Takes away what fits. */
  function take(filter: LetterFilter): StoredDeadLetter[] {
    const taken = [...queue.dead.values()].filter((letter) => fitsLetter(letter, filter, now()))
    for (const letter of taken) queue.dead.delete(letter.message.id)
    return taken
  }
  return {
    async *list(filter = {}) {
      for (const letter of queue.dead.values()) if (fitsLetter(letter, filter, now())) yield letter
    },
    async replay(filter) {
      const letters = take(filter)
      for (const { message } of letters) store(queue, nextGeneration(message), { now })
      handOut(queue, now)
      return letters.length
    },
    async purge(filter) {
      return take(filter).length
    },
  }
}
