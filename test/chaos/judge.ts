import { expect } from 'vitest'
import { eventually } from '../support/eventually.ts'
import type { Story } from './ledger.ts'
import type { Stage } from './processes.ts'
import type { Kind } from './programs/client.ts'
import { chaos } from './programs/service.ts'

export interface Verdict {
  /** Calls by how they ended: 'ok' or a code. */
  readonly ends: Readonly<Record<string, number>>
  readonly sent: number
  /** Keys of which the same attempt was begun more than once. */
  readonly again: readonly string[]
  /**
   * Those of them that only ran in processes that nobody harmed. What was killed leaves its calls to others; what was
   * frozen and thaws begins what had reached its socket before.
   */
  readonly unexplained: readonly string[]
}

export interface JudgeOptions {
  /** Calls of every kind may have reached their deadlines. */
  readonly mayTimeOut?: boolean
}

const TIMEOUTS = ['TIMEOUT no', 'TIMEOUT unknown', 'EXPIRED no', 'EXPIRED unknown', 'BROKER_UNAVAILABLE no'] as const

/** How the calls of each kind may end while outages are shorter than their deadlines. */
const MAY_END: Readonly<Record<Kind, readonly string[]>> = {
  plain: ['ok'],
  flaky: ['ok'],
  hold: ['ok'],
  fail: ['HANDLER_FAILED yes'],
  refuse: ['REFUSED yes'],
  hurried: ['ok', ...TIMEOUTS],
  cancelled: ['ok', 'CANCELLED no', 'CANCELLED unknown', 'CANCELLED yes'],
}

/**
 * Waits until the queue is empty, then asks the ledger whether anything was lost and anybody lied: each call of a client that
 * lived has one outcome, as its kind allows; an answer, and 'yes', were computed; 'no' never began; a confirmed send ran.
 * Some worker must be alive, and some process that may keep the queues.
 */
export async function judge(stage: Stage, { mayTimeOut = false }: JudgeOptions = {}): Promise<Verdict> {
  await drained(stage)
  const wrong: string[] = []
  const wrongKeys: string[] = []
  const ends: Record<string, number> = {}
  const again: string[] = []
  const unexplained: string[] = []
  let sent = 0
  for (const [key, story] of stage.ledger.stories()) {
    const faults = faultsOf(story, { isComplete: stage.hasFinished(key), mayTimeOut })
    wrong.push(...faults.map((fault) => `${key}: ${fault}, ${JSON.stringify(story)}`))
    if (faults.length > 0) wrongKeys.push(key)
    if (story.isSent) sent++
    else for (const { code } of story.outcomes) ends[code] = (ends[code] ?? 0) + 1
    if (!isRunAgain(story)) continue
    again.push(key)
    if (!story.runs.some(({ pid }) => stage.isHarmed(pid))) unexplained.push(key)
  }
  if (unexplained.length > 0) console.error(`run again for no reason:\n${stage.ledger.excerpt(unexplained)}`)
  if (wrong.length > 0) console.error(`wrong:\n${stage.ledger.excerpt(wrongKeys)}`)
  expect(wrong).toEqual([])
  expect(stage.unexpectedEnds()).toEqual([])
  return { ends, sent, again, unexplained }
}

/** Waits until nothing waits and nothing is held. */
export async function drained(stage: Stage): Promise<void> {
  const queue = stage.inProcess().queue(chaos)
  const isEmpty = async (): Promise<boolean> => {
    const { ready, active, delayed } = await queue.stats()
    return ready === 0 && active === 0 && delayed === 0
  }
  await eventually(isEmpty, { what: 'the queue is empty', within: 15_000 })
}

function faultsOf(
  story: Story,
  { isComplete, mayTimeOut }: { readonly isComplete: boolean; readonly mayTimeOut: boolean },
): string[] {
  const { kind, outcomes, runs, isSent } = story
  const faults: string[] = []
  const hasEnded = runs.some((run) => run.isEnded)
  if (kind !== undefined && (outcomes.length > 1 || (outcomes.length === 0 && isComplete)))
    faults.push(`${outcomes.length} outcomes`)
  if (isSent && !hasEnded) faults.push('a confirmed send did not run')
  for (const { code, executed } of outcomes) {
    const end = executed === undefined ? code : `${code} ${executed}`
    const allowed = [...(MAY_END[kind as Kind] ?? [end]), ...(mayTimeOut ? TIMEOUTS : [])] // a kind of client.ts, or none
    if (!allowed.includes(end)) faults.push(`a '${kind}' call ended with ${end}`)
    if ((code === 'ok' || executed === 'yes') && !hasEnded) faults.push(`${end}, and no run ended`)
    if (executed === 'no' && runs.length > 0) faults.push(`${end}, and it ran`)
  }
  return faults
}

function isRunAgain({ runs }: Story): boolean {
  return new Set(runs.map(({ attempt }) => attempt)).size < runs.length
}
