import type { BrokerCore } from '../broker-adapters/broker.ts'
import { encodeCancel } from '../protocol/cancel-message.ts'
import { monotonicMs } from '../protocol/clock.ts'
import { CallError, messageOf } from '../protocol/errors.ts'
import { cancelTopic, helloTopic } from '../protocol/queue-names.ts'
import type { TimerWheel } from '../protocol/timer-wheel.ts'
import { detailsOf, failed, type CallState, type CallTarget } from './call-state.ts'

/** Tells workers that nobody waits any more. */
export interface Cancels {
  /** Ends the call as CANCELLED, at the latest in 250 ms, with what is proved of `executed` by then. */
  cancel(state: CallState, options: { readonly reason: string; readonly cause?: unknown }): void
  /** The call has ended by itself; workers that hold it or run it need not go on. */
  forget(state: CallState): void
  close(): void
}

const PROOF_MS = 250

export function createCancels({ core, wheel }: { readonly core: BrokerCore; readonly wheel: TimerWheel }): Cancels {
  const queues = new Map<string, CancelledQueue>()

  return {
    cancel(state, { reason, cause }) {
      if (state.isSettled || state.cancelReason !== undefined) return
      state.cancelReason = reason
      const end = (): void =>
        state.settle(failed(new CallError('CANCELLED', `the caller cancelled: ${reason}`, detailsOf(state, { cause }))))
      if (state.copies === 0) return end()
      wheel.schedule(monotonicMs() + PROOF_MS, end)
      void withdraw(state).then((isRemoved) => {
        if (!isRemoved || state.copies > 1) return
        state.evidence = 'no'
        end()
      })
    },

    forget(state) {
      if (state.copies > 0) void withdraw(state)
    },

    close() {
      for (const queue of queues.values()) queue.stopListening?.()
      queues.clear()
    },
  }

  /** True: the broker had it waiting and removed it. Else workers are told. */
  async function withdraw(state: CallState): Promise<boolean> {
    const adapter = core.connected
    try {
      if ((await adapter?.remove?.(state.target.queue, state.id)) === true) return true
    } catch (error) {
      core.log('debug', 'CANCEL', `${state.id} could not be removed: ${messageOf(error)}`)
    }
    tellWorkers(state)
    return false
  }

  function tellWorkers({ id, target, deadline }: CallState): void {
    const queue = queueOf(target)
    queue.live.set(id, deadline)
    queue.fresh.push(id)
    if (queue.fresh.length === 1) setImmediate(() => broadcast(queue, queue.fresh.splice(0)))
  }

  function queueOf(target: CallTarget): CancelledQueue {
    let queue = queues.get(target.queueName)
    if (queue === undefined) {
      queue = { topic: cancelTopic(target.queueName), live: new Map(), fresh: [], stopListening: undefined }
      queues.set(target.queueName, queue)
      void repeatForNewWorkers(queue, helloTopic(target.queueName))
    }
    return queue
  }

  /** A worker that starts now has missed what was said before. */
  async function repeatForNewWorkers(queue: CancelledQueue, topic: string): Promise<void> {
    try {
      queue.stopListening = await core.connected?.onBroadcast(topic, () => broadcast(queue, [...queue.live.keys()]))
    } catch (error) {
      core.log('debug', 'CANCEL', `new workers are not told of cancels: ${messageOf(error)}`)
    }
  }

  function broadcast(queue: CancelledQueue, ids: readonly string[]): void {
    const now = Date.now()
    for (const [id, until] of queue.live) if (until < now) queue.live.delete(id)
    for (let from = 0; from < ids.length; from += MAX_IDS) {
      const some = ids.slice(from, from + MAX_IDS)
      const until = Math.max(...some.map((id) => queue.live.get(id) ?? now))
      core.connected?.broadcast(queue.topic, encodeCancel({ ids: some, until }))
    }
  }
}

const MAX_IDS = 1000

interface CancelledQueue {
  readonly topic: string
  /** Cancelled calls and their deadlines, epoch ms. */
  readonly live: Map<string, number>
  /** Not yet said. */
  readonly fresh: string[]
  stopListening: (() => void) | undefined
}
