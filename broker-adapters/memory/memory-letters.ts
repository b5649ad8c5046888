import { HEADER } from '../../protocol/headers.ts'
import { nextGeneration } from '../../protocol/replay.ts'
import type { BrokerAdapter, LetterFilter, StoredDeadLetter } from '../adapter.ts'
import { handOut, store, type MemoryQueue } from './memory-broker.ts'

export function memoryLetters(queue: MemoryQueue, now: () => number): ReturnType<BrokerAdapter['deadLetters']> {
  /** Takes away what fits. */
  function take(filter: LetterFilter): StoredDeadLetter[] {
    const taken = [...queue.dead.values()].filter((letter) => fits(letter, filter, now()))
    for (const letter of taken) queue.dead.delete(letter.message.id)
    return taken
  }
  return {
    async *list(filter = {}) {
      for (const letter of queue.dead.values()) if (fits(letter, filter, now())) yield letter
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

function fits({ message, code, at }: StoredDeadLetter, filter: LetterFilter, now: number): boolean {
  return (
    (filter.id === undefined || filter.id === message.id) &&
    (filter.method === undefined || filter.method === message.headers[HEADER.method]) &&
    (filter.code === undefined || filter.code === code) &&
    (filter.olderThanMs === undefined || now - at > filter.olderThanMs)
  )
}
