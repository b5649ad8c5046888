import type { BrokerAdapter, ReplyOutcome } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import type { Reply } from '../protocol/message.ts'
import type { ScheduledTimer, TimerWheel } from '../protocol/timer-wheel.ts'
import type { WorkerCount } from './worker-counters.ts'

/** `tooLate`: its time is over. `dropped`: not known to be stored, and somebody else will answer. */
export type ReplyFate = 'stored' | 'gone' | 'tooLarge' | 'tooLate' | 'dropped'

export interface ConfirmedOptions {
  /** Monotonic ms after which nobody waits for it: a broker that is blocked is not waited for any longer. */
  readonly deadlineAt: number
  /** Monotonic ms after which it is not tried any more. */
  readonly giveUpAt: number
  /** False: the delivery is lost, and its next owner will know better. */
  readonly isWanted: () => boolean
}

/**
 * Replies on their way to the broker. What was gathered in one turn of the event loop for one address leaves together. While
 * the broker is blocked they wait, each until its deadline; who would add more asks for room first.
 */
export interface ReplyOutbox {
  /** Tried again until the broker has stored it. Never rejects. */
  send(address: string, reply: Reply, options: ConfirmedOptions): Promise<ReplyFate>
  /** Best effort, in order with the others. */
  sendUnconfirmed(address: string, reply: Reply): void
  readonly hasRoom: boolean
  /** Calls `listener` once, when there is room again. Returns the function that ends the waiting. */
  onRoom(listener: () => void): () => void
  /** What is left is dropped. */
  close(): void
  readonly isClosed: boolean
}

export interface ReplyOutboxOptions {
  readonly core: BrokerCore
  readonly adapter: Pick<BrokerAdapter, 'reply'>
  readonly wheel: TimerWheel
  readonly count: (name: WorkerCount) => void
  readonly limits: { readonly replies: number; readonly bytes: number }
}

interface Item {
  readonly address: string
  readonly reply: Reply
  /** Undefined: unconfirmed. */
  readonly wanted: ConfirmedOptions | undefined
  readonly settle: (fate: ReplyFate) => void
  isSettled: boolean
  /** The broker was asked to store it. */
  isTried: boolean
  giveUp: ScheduledTimer | undefined
}

const FIRST_RETRY_MS = 50
const MAX_RETRY_MS = 2_000

export function createReplyOutbox({ core, adapter, wheel, count, limits }: ReplyOutboxOptions): ReplyOutbox {
  let gathered = new Map<string, Item[]>()
  const open = new Set<Item>()
  let openBytes = 0
  const waiters = new Set<() => void>()
  /** The broker did not say that it stored them, or was blocked. */
  const failed = new Set<Item>()
  let retryMs = FIRST_RETRY_MS
  let retryTimer: ScheduledTimer | undefined
  let isClosed = false
  const stopListening = core.onState((state) => {
    if (state === 'up') retry()
    if (state === 'blocked')
      for (const item of open) if (isOverdue(item, core.clock.monotonic())) settle(item, 'tooLate')
  })
  const hasRoom = (): boolean => open.size < limits.replies && openBytes < limits.bytes

  return {
    send(address, reply, wanted) {
      return new Promise((resolve) => {
        const item = newItem(address, reply, wanted, resolve)
        if (isClosed) return settle(item, 'dropped')
        open.add(item)
        openBytes += reply.body.length
        item.giveUp = wheel.schedule(wanted.deadlineAt, () => passDeadline(item, wanted))
        gather(item)
      })
    },
    sendUnconfirmed(address, reply) {
      if (!isClosed) gather(newItem(address, reply, undefined, () => {}))
    },
    get hasRoom() {
      return hasRoom()
    },
    onRoom(listener) {
      const heard = (): void => listener()
      waiters.add(heard)
      return () => waiters.delete(heard)
    },
    get isClosed() {
      return isClosed
    },
    close() {
      isClosed = true
      stopListening()
      retryTimer?.cancel()
      for (const item of open) settle(item, 'dropped')
      gathered.clear()
    },
  }

  function gather(item: Item): void {
    if (gathered.size === 0) setImmediate(flush)
    const items = gathered.get(item.address)
    if (items === undefined) gathered.set(item.address, [item])
    else items.push(item)
  }

  /** Here replies to one inbox could be packed into frames. */
  function flush(): void {
    const batches = gathered
    gathered = new Map()
    for (const [address, items] of batches) void store(address, items)
  }

  async function store(address: string, items: readonly Item[]): Promise<void> {
    const live = items.filter(isLive)
    if (live.length === 0) return
    if (core.state === 'blocked') {
      for (const item of live) if (item.wanted !== undefined) failed.add(item)
      return
    }
    for (const item of live) item.isTried = true
    const outcomes = await ask(address, live)
    let isUnknown = false
    for (const [index, item] of live.entries()) {
      const outcome = outcomes[index] ?? 'unknown'
      if (outcome !== 'unknown') settle(item, outcome)
      else if (isLive(item) && item.wanted !== undefined) {
        failed.add(item)
        isUnknown = true
      }
    }
    if (isUnknown) retryLater()
    else retryMs = FIRST_RETRY_MS
  }

  async function ask(address: string, items: readonly Item[]): Promise<readonly ReplyOutcome[]> {
    try {
      const replies = items.map((item) => item.reply)
      return await adapter.reply(address, replies)
    } catch (error) {
      core.log('error', 'REPLY', `the broker's adapter failed while it stored replies: ${String(error)}`, address)
      return []
    }
  }

  /** Lost ones are dropped; the delivery's next owner answers. */
  function isLive(item: Item): boolean {
    if (!item.isSettled && item.wanted?.isWanted() === false) settle(item, 'dropped')
    return !item.isSettled
  }

  function passDeadline(item: Item, { giveUpAt }: ConfirmedOptions): void {
    if (core.state === 'blocked') settle(item, 'tooLate')
    else item.giveUp = wheel.schedule(giveUpAt, () => settle(item, 'tooLate'))
  }

  function retryLater(): void {
    if (isClosed || retryTimer !== undefined) return
    retryTimer = wheel.schedule(core.clock.monotonic() + retryMs, retry)
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)
  }

  function retry(): void {
    retryTimer?.cancel()
    retryTimer = undefined
    if (core.state === 'blocked') return
    if (core.state === 'down' && failed.size > 0) return retryLater()
    const items = [...failed].filter(isLive)
    failed.clear()
    for (const item of items) {
      if (item.isTried) count('repliesResent')
      gather(item)
    }
  }

  function settle(item: Item, fate: ReplyFate): void {
    if (item.isSettled) return
    item.isSettled = true
    item.giveUp?.cancel()
    if (open.delete(item)) openBytes -= item.reply.body.length
    failed.delete(item)
    item.settle(fate)
    if (waiters.size > 0 && hasRoom()) tellWaiters()
  }

  function tellWaiters(): void {
    const heard = [...waiters]
    waiters.clear()
    for (const listener of heard) listener()
  }
}

/** Written out: there is one per reply, and spreading what they share is many times slower. */
function newItem(address: string, reply: Reply, wanted: Item['wanted'], settle: Item['settle']): Item {
  return { address, reply, wanted, settle, isSettled: false, isTried: false, giveUp: undefined }
}

function isOverdue({ wanted }: Item, now: number): boolean {
  return wanted !== undefined && wanted.deadlineAt <= now
}
