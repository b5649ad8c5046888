import { HEADER } from '../../protocol/headers.ts'
import type { Delivery } from '../adapter.ts'
import { bury, remember, store, takeBack, type MemoryQueue, type StoredMessage } from './memory-broker.ts'

export interface HoldOptions {
  readonly stored: StoredMessage
  readonly fence: number
  readonly now: () => number
  /** It is not held any more. */
  readonly settled: (stored: StoredMessage) => void
}

export interface HeldDelivery extends Delivery {
  lose(): void
}

/** What a consumer gets of a message; it is settled once. */
export function holdDelivery(queue: MemoryQueue, { stored, fence, now, settled }: HoldOptions): HeldDelivery {
  const { message, handBacks } = stored
  let isLost = false
  let onLost: (() => void) | undefined
  /** True for the first settlement of a delivery that is still held. */
  const settle = (): boolean => {
    if (isLost || !queue.held.delete(stored)) return false
    settled(stored)
    return true
  }
  return {
    message,
    redelivered: stored.wasHandedOut,
    handBacks,
    fence: queue.features.keyed && message.headers[HEADER.key] !== undefined ? fence : undefined,
    get isLost() {
      return isLost
    },
    onLost(listener) {
      onLost = listener
      if (isLost) listener()
    },
    lose() {
      isLost = true
      onLost?.()
    },
    ack() {
      if (!settle()) return
      remember(queue, message.id, now())
      queue.ready.endTurn(stored)
    },
    async retry({ delayMs, headers }) {
      if (!settle()) return
      const copy = { ...message, headers: { ...message.headers, ...headers }, delayMs, expiresInMs: undefined }
      store(queue, copy, { now, inPlaceOf: stored })
    },
    async deadLetter(why) {
      if (!settle()) return
      bury(queue, message, { ...why, at: now() })
      queue.ready.endTurn(stored)
    },
    release() {
      if (isLost || !queue.held.has(stored)) return
      takeBack(queue, stored)
      settled(stored)
    },
  }
}
