import type { BrokerCore } from '../broker-adapters/broker.ts'
import { encodeCancel } from '../protocol/cancel-message.ts'
import { messageOf } from '../protocol/errors.ts'
import { createGrace } from '../protocol/grace.ts'
import { cancelTopic, helloTopic } from '../protocol/queue-names.ts'
import type { TimerWheel } from '../protocol/timer-wheel.ts'
import { cancelledEnd, executedOf, type CallState, type CallTarget } from './call-state.ts'

/** Tells workers that nobody waits any more. */
export interface Cancels {
  /** Ends the call as CANCELLED, at the latest in 250 ms, with what is proved of `executed` by then. */
  cancel(state: CallState, options: { readonly reason: string; readonly cause?: unknown }): void
  /** The call has ended by itself; workers that hold it or run it need not go on. */
  forget(state: CallState): void
  /** The same for all that the closing client leaves: resolves when it is said, or could not be soon. Never rejects. */
  forgetAll(states: readonly CallState[]): Promise<void>
  close(): void
}

export interface CancelsOptions {
  readonly core: BrokerCore
  readonly wheel: TimerWheel
  /** It is not to be published (again). */
  readonly giveUp: (state: CallState) => void
  /** It ends as cancelled now. */
  readonly onCancelled: (state: CallState) => void
}

const PROOF_MS = 250
/** Best effort: how long a client that closes waits to have said it. */
const FAREWELL_MS = 1_000
/** A reason is for people, and stands in the error. */
const MAX_REASON = 500

export function createCancels({ core, wheel, giveUp, onCancelled }: CancelsOptions): Cancels {
  const queues = new Map<string, CancelledQueue>()
  let isClosed = false

  return {
    cancel(state, { reason, cause }) {
      if (state.end !== undefined || state.cancelled !== undefined) return
      state.cancelled = { reason: reason.slice(0, MAX_REASON), cause }
      const end = (): void => {
        if (state.end !== undefined) return
        onCancelled(state)
        state.settle(cancelledEnd(state))
      }
      if (executedOf(state) !== 'unknown') return end()
      giveUp(state)
      wheel.schedule(core.clock.monotonic() + PROOF_MS, end)
      void withdraw(state).then((neverRuns) => {
        if (!neverRuns) return
        state.evidence ??= 'no'
        end()
      })
    },

    forget(state) {
      if (executedOf(state) === 'unknown') void withdraw(state)
    },

    async forgetAll(states) {
      const unproven = states.filter((state) => executedOf(state) === 'unknown')
      if (unproven.length === 0 || core.state === 'down' || core.state === 'closed') return
      await createGrace(FAREWELL_MS).isEnoughFor(Promise.all(unproven.map(withdraw)))
      for (const queue of queues.values()) sayFresh(queue)
    },

    close() {
      isClosed = true
      for (const queue of queues.values()) queue.stopListening?.()
      queues.clear()
    },
  }

  /** True: the broker had it waiting and removed it, and there is no other copy. Else workers are told. */
  async function withdraw(state: CallState): Promise<boolean> {
    const adapter = core.connected
    try {
      const isRemoved = (await adapter?.remove?.(state.target.queue, state.id)) === true
      if (isRemoved && state.copies <= 1 && state.stage !== 'running') return true
    } catch (error) {
      core.log('debug', 'CANCEL', `${state.id} could not be removed: ${messageOf(error)}`)
    }
    tellWorkers(state)
    return false
  }

  function tellWorkers({ id, target, deadline }: CallState): void {
    if (isClosed) return
    const queue = queueOf(target)
    queue.live.set(id, deadline)
    if (queue.live.size >= queue.pruneAt) prune(queue, core.clock.now())
    queue.fresh.push(id)
    if (queue.fresh.length === 1) setImmediate(sayFresh, queue)
  }

  function sayFresh(queue: CancelledQueue): void {
    try {
      broadcast(queue, queue.fresh.splice(0))
    } catch (error) {
      core.log('debug', 'CANCEL', `workers are not told of cancels: ${messageOf(error)}`)
    }
  }

  function queueOf(target: CallTarget): CancelledQueue {
    let queue = queues.get(target.queueName)
    if (queue === undefined) {
      queue = {
        topic: cancelTopic(target.queueName),
        live: new Map(),
        fresh: [],
        pruneAt: MIN_PRUNE,
        stopListening: undefined,
      }
      queues.set(target.queueName, queue)
      void repeatForNewWorkers(queue, helloTopic(target.queueName))
    }
    return queue
  }

  /** A worker that starts now has missed what was said before. */
  async function repeatForNewWorkers(queue: CancelledQueue, topic: string): Promise<void> {
    try {
      const stopListening = await core.connected?.onBroadcast(topic, () => {
        prune(queue, core.clock.now())
        broadcast(queue, [...queue.live.keys()])
      })
      if (isClosed) stopListening?.()
      else queue.stopListening = stopListening
    } catch (error) {
      core.log('debug', 'CANCEL', `new workers are not told of cancels: ${messageOf(error)}`)
    }
  }

  function broadcast(queue: CancelledQueue, ids: readonly string[]): void {
    const now = core.clock.now()
    for (let from = 0; from < ids.length; from += MAX_IDS) {
      const some = ids.slice(from, from + MAX_IDS)
      const until = Math.max(...some.map((id) => queue.live.get(id) ?? now))
      core.connected?.broadcast(queue.topic, encodeCancel({ ids: some, until }))
    }
  }
}

/** Forgets what is over; the next time when there are twice as many, so that it costs each cancel the same. */
function prune(queue: CancelledQueue, now: number): void {
  for (const [id, until] of queue.live) if (until < now) queue.live.delete(id)
  queue.pruneAt = Math.max(MIN_PRUNE, 2 * queue.live.size)
}

const MAX_IDS = 1000
const MIN_PRUNE = 1000

interface CancelledQueue {
  readonly topic: string
  /** Cancelled calls and their deadlines, epoch ms. */
  readonly live: Map<string, number>
  /** Not yet said. */
  readonly fresh: string[]
  /** `live` is looked through when it has grown to this size. */
  pruneAt: number
  stopListening: (() => void) | undefined
}
