import { HEADER, integerHeader, WIRE_VERSION } from '../protocol/headers.ts'
import { isOlderVersion } from '../protocol/queue-names.ts'
import { lastMoment } from './attempt.ts'
import { nameOf } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import { envelopeProblem } from './read-message.ts'
import type { Outcome } from './settlement.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** Leaves to newer workers what this one is too old for: held a while, then put at the end of the queue, again and again. */
export interface NewerCallers {
  /** What it does not know, and its caller's contract or protocol is newer: somebody else may know it. */
  areFor(call: HeldCall): boolean
  hold(call: HeldCall): void
}

export interface NewerCallersOptions {
  readonly settle: (call: HeldCall, outcome: Outcome) => void
  readonly giveBack: (call: HeldCall) => void
}

const MOST_HOLDS = 10
const LEAST_HOLD_MS = 50
/** So long before its deadline a call is refused rather than given back once more: its caller learns why. */
const REFUSE_BEFORE_MS = 200

export function createNewerCallers(parts: WorkerParts, { settle, giveBack }: NewerCallersOptions): NewerCallers {
  const { wheel, core, count, now, tuning } = parts
  return { areFor, hold }

  function areFor(call: HeldCall): boolean {
    return isOlderThanCaller(call) && envelopeProblem(call) !== undefined
  }

  function hold(call: HeldCall): void {
    const patienceMs = patienceOf(call)
    if (patienceMs <= 0) return refuse(call)
    // At most half of what is left, so that a newer worker which has come meanwhile gets it once more.
    const holdMs = Math.min(
      holdsOf(call.given) * tuning.newerHoldMs,
      Math.max(patienceMs / 2, Math.min(patienceMs, LEAST_HOLD_MS)),
    )
    call.stage = 'held'
    call.given++
    call.dueAt = core.clock.monotonic() + holdMs
    const timer = wheel.schedule(call.dueAt, () => {
      call.leave = undefined
      if (patienceOf(call) <= 0) return refuse(call)
      count('leftToNewer')
      core.log('warn', 'NEWER_CALLER', describe(call), call.queue.name)
      giveBack(call)
    })
    call.leave = () => timer.cancel()
  }

  function refuse(call: HeldCall): void {
    const problem = envelopeProblem(call)
    if (problem !== undefined) settle(call, problem)
  }

  /** How much longer a newer worker may come: for a call until shortly before its deadline. */
  function patienceOf({ deadline, given }: HeldCall): number {
    if (deadline !== undefined) return lastMoment(deadline) - REFUSE_BEFORE_MS - now()
    return tuning.newerWorkerMs - holdsInAll(given) * tuning.newerHoldMs
  }
}

function isOlderThanCaller({ message: { headers }, queue }: HeldCall): boolean {
  const wire = integerHeader(headers, HEADER.version) ?? 0
  return wire > Number(WIRE_VERSION) || isOlderVersion(queue.version, wireText(headers[HEADER.contractVersion]))
}

/** How many times the first hold the next one is: 1, 2, 4, 8, 10, 10, … */
function holdsOf(given: number): number {
  return Math.min(2 ** Math.min(given, 10), MOST_HOLDS)
}

/** Of a message without a deadline, whose clock may be another: counted in holds, whoever held it. */
function holdsInAll(given: number): number {
  const doubling = Math.min(given, 4)
  return 2 ** doubling - 1 + (given - doubling) * MOST_HOLDS
}

function describe(call: HeldCall): string {
  const asked = wireText(call.message.headers[HEADER.contractVersion], 40)
  return `${nameOf(call)} was made with contract ${asked}, here is ${call.queue.version}: it is left to newer workers`
}
