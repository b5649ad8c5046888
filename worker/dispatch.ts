import type { Delivery } from '../broker-adapters/adapter.ts'
import type { CancelMessage } from '../protocol/cancel-message.ts'
import { isValidId } from '../protocol/ids.ts'
import { untilExpired } from './attempt.ts'
import { generationKey } from '../protocol/replay.ts'
import { cancelled, stackOf } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import { holdCall, isSuspect, refusalAtTurn, refusalOf } from './intake.ts'
import { createNewerCallers } from './newer-callers.ts'
import { HOLD_MS } from './retry-policy.ts'
import { createRuns } from './runs.ts'
import type { ServedQueue } from './served-queue.ts'
import { createSettler } from './settle-call.ts'
import { createSoloRuns } from './solo-runs.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** What happens to a delivery, from the hand-over to its settlement. */
export interface Dispatcher {
  /** Never throws. */
  accept(queue: ServedQueue, delivery: Delivery): void
  cancel(queue: ServedQueue, message: CancelMessage): void
  /** Every slot is taken by a handler that ran over its time. */
  readonly isStuck: boolean
  /** False: no slot will be free soon, or one call runs alone. */
  readonly mayTake: boolean
  /** Nothing begins from now on; what waits goes back, retries that were held are stored. */
  stopBeginning(): void
  abortRunning(): void
  /** Gives the calls of handlers that still run to others; what these handlers return is ignored. */
  abandonRunning(): Promise<void>
}

export interface DispatcherOptions {
  readonly queues: readonly ServedQueue[]
  /** Pauses or resumes the subscriptions, as `mayTake` says; resolves when nothing is on its way here any more. */
  readonly updateFlow: () => Promise<void>
}

/** duplicate? → lost? → crashed? expired? cancelled? → too new? → alone? → slot → run → settle, each a function of that name. */
export function createDispatcher(parts: WorkerParts, { queues, updateFlow }: DispatcherOptions): Dispatcher {
  const { wheel, count, core, outbox, now } = parts
  const settler = createSettler(parts, { retryLater })
  const runs = createRuns(parts, {
    onEnd: (call, outcome) => settler.settle(call, outcome),
    onRepeat: waitForSlot,
    onNoRoom: waitForRoom,
    onStuckChange(isStuck) {
      void updateFlow()
      if (isStuck) for (const call of allCalls(queues)) if (call.stage === 'waiting') giveBackUnbegun(call)
    },
  })
  const newer = createNewerCallers(parts, settler)
  const solo = createSoloRuns({
    queues,
    updateFlow,
    giveBackOthers(alone) {
      for (const call of allCalls(queues)) if (call !== alone) giveBackUnbegun(call)
    },
    giveBack: (call, given) => settler.giveBack(call, given),
    start: waitForSlot,
  })
  let isStopped = false

  return {
    accept(queue, delivery) {
      try {
        accept(queue, delivery)
      } catch (error) {
        core.log('error', 'WORKER_BUG', `a delivery of ${queue.name} failed inside the worker: ${stackOf(error)}`)
        refuseUnnamed(delivery, 'it made the worker fail')
      }
    },
    cancel(queue, { ids, until }) {
      const unknown = ids.filter((id) => !cancelHeld(queue, id))
      queue.tombstones.add(unknown, until)
    },
    get isStuck() {
      return runs.isStuck
    },
    get mayTake() {
      return !runs.isStuck && !solo.isBusy
    },
    stopBeginning() {
      isStopped = true
      for (const call of allCalls(queues)) giveBackUnbegun(call)
    },
    abortRunning() {
      for (const call of allCalls(queues)) runs.abort(call)
    },
    async abandonRunning() {
      const running = allCalls(queues).filter((call) => call.running !== undefined)
      for (const call of running) runs.abandon(call)
      await Promise.all(running.map((call) => settler.abandon(call)))
    },
  }

  function accept(queue: ServedQueue, delivery: Delivery): void {
    queue.lastDeliveryAt = core.clock.monotonic()
    if ((isStopped || runs.isStuck) && !delivery.handBacks) return giveBackAtOnce(delivery)
    if (!isValidId(wireText(delivery.message.id)))
      return refuseUnnamed(delivery, 'its id is not 1 to 64 of A-Z, a-z, 0-9, ., _ and -')
    if (isDuplicate(queue, delivery)) return
    if (delivery.isLost) return count('lostDeliveries')
    const call = holdCall(queue, delivery, parts)
    queue.calls.add(call)
    delivery.onLost(() => lose(call, delivery))
    const refusal = refusalOf(call, parts)
    if (refusal === undefined) place(call)
    else settler.settle(call, refusal)
  }

  function place(call: HeldCall): void {
    if (isSuspect(call)) settler.isolate(call)
    else if (isStopped || runs.isStuck || solo.isBusy) settler.giveBack(call)
    else if (newer.areFor(call)) newer.hold(call)
    else if (call.isSolo) solo.take(call)
    else waitForSlot(call)
  }

  function giveBackAtOnce(delivery: Delivery): void {
    count('released')
    delivery.release()
  }

  /** Nothing can be said to its caller, and no second copy be told from it. */
  function refuseUnnamed(delivery: Delivery, problem: string): void {
    count('invalidMessages')
    count('deadLettered')
    const why = { code: 'INVALID_MESSAGE', reason: `the message cannot be read: ${problem}`, attempts: 1 }
    delivery.deadLetter(why).catch((error: unknown) => core.log('error', 'DEAD_LETTER', stackOf(error)))
  }

  /** A running call keeps its run: the new delivery takes the place of the lost one, or is settled with it. A copy is none. */
  function isDuplicate(queue: ServedQueue, delivery: Delivery): boolean {
    const held = queue.calls.get(delivery.message)
    if (held !== undefined && (held.stage !== 'leaving' || held.delivery.isLost)) {
      count('duplicates')
      held.mayHaveRun = true
      if (held.delivery.isLost) held.delivery = delivery
      else held.spares.push(delivery)
      delivery.onLost(() => lose(held, delivery))
      return true
    }
    if (!queue.calls.isFinished(generationKey(delivery.message))) return false
    count('duplicates')
    delivery.ack()
    return true
  }

  function waitForSlot(call: HeldCall): void {
    if (isStopped || runs.isStuck) return settler.giveBack(call)
    call.stage = 'waiting'
    runs.begin(call)
  }

  /** For its answer, which a broker that is blocked does not take; at its deadline nobody waits for it any more. */
  function waitForRoom(call: HeldCall): void {
    const leave = (): void => {
      call.leave = undefined
      stop()
      timer?.cancel()
    }
    const goOn = (): void => {
      leave()
      const refusal = refusalAtTurn(call, parts)
      if (refusal === undefined) waitForSlot(call)
      else settler.settle(call, refusal)
    }
    const stop = outbox.onRoom(goOn)
    const { deadline } = call
    const timer = deadline && wheel.schedule(core.clock.monotonic() + untilExpired(deadline, now()), goOn)
    call.leave = leave
  }

  /** Unacked while it is short, so that it stays here; else the broker keeps it. */
  function retryLater(call: HeldCall, delayMs: number): void {
    call.stage = 'held'
    if (isStopped || call.isSolo || delayMs > HOLD_MS) return settler.giveBack(call, { delayMs })
    call.dueAt = core.clock.monotonic() + delayMs
    const timer = wheel.schedule(call.dueAt, () => {
      call.leave = undefined
      waitForSlot(call)
    })
    call.leave = () => timer.cancel()
  }

  /** True: it was waiting for a slot or for its next attempt, and does not any more. */
  function takeOut(call: HeldCall): boolean {
    const { leave } = call
    call.leave = undefined
    leave?.()
    return leave !== undefined
  }

  function giveBackUnbegun(call: HeldCall): void {
    const delayMs = call.stage === 'held' ? call.dueAt - core.clock.monotonic() : 0
    if (takeOut(call)) settler.giveBack(call, { delayMs })
  }

  function lose(call: HeldCall, delivery: Delivery): void {
    if (call.stage === 'done') return
    count('lostDeliveries')
    const spareAt = call.spares.indexOf(delivery)
    if (spareAt >= 0) call.spares.splice(spareAt, 1)
    if (call.delivery !== delivery) return
    const next = call.spares.shift()
    if (next !== undefined) call.delivery = next
    else if (takeOut(call)) settler.settle(call, { kind: 'lost' })
    else runs.lose(call)
  }

  /** True: it is held here, or was. */
  function cancelHeld(queue: ServedQueue, id: string): boolean {
    const calls = queue.calls.ofId(id)
    for (const call of calls) {
      if (takeOut(call)) settler.settle(call, cancelled(call, 'not entered'))
      else runs.cancel(call)
    }
    return calls.length > 0 || queue.calls.isFinished(id)
  }
}

function allCalls(queues: readonly ServedQueue[]): HeldCall[] {
  return queues.flatMap((queue) => queue.calls.all())
}
