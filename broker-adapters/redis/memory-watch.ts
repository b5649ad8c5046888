import type { AdapterContext } from '../adapter.ts'
import type { Session } from './dial.ts'
import { isOutOfMemory } from './failures.ts'

/** Tells when a server that took nothing more, as its memory is full, takes something again. */
export interface MemoryWatch {
  /** It took something not. */
  note(): void
}

const LOOK_MS = 250

export function watchMemory(session: Session, namespace: string, say: AdapterContext['onState']): MemoryWatch {
  let isFull = false

  /** Whether it stores: nothing that it says of its memory proves that. */
  async function probe(): Promise<void> {
    try {
      await session.commands.set(`${namespace}.probe`, '', 'PX', 1_000)
      isFull = false
      say('up')
    } catch (error) {
      if (!session.isOpen) return
      if (!isOutOfMemory(error)) isFull = false
      else setTimeout(() => void probe(), LOOK_MS).unref()
    }
  }

  return {
    note() {
      if (isFull) return
      isFull = true
      say('blocked', 'the memory of the server is full (maxmemory)')
      setTimeout(() => void probe(), LOOK_MS).unref()
    },
  }
}
