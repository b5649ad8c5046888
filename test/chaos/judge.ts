import { expect } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { readNotes } from './programs/ledger-file.ts'

/** What the ledger says of one key. */
export interface Story {
  begins: number
  ends: number
  /** Process ids of the runs, in order. */
  readonly pids: number[]
  readonly attempts: number[]
  made: number
  outcomes: string[][]
  sent: boolean
}

export function readStories(root: string): Map<string, Story> {
  const stories = new Map<string, Story>()
  for (const [kind = '', key = '', ...rest] of readNotes(root)) {
    if (kind === 'odd') throw new Error(`something odd happened: ${key} ${rest.join(' ')}`)
    const story = stories.get(key) ?? { begins: 0, ends: 0, pids: [], attempts: [], made: 0, outcomes: [], sent: false }
    stories.set(key, story)
    if (kind === 'begin') {
      story.begins++
      story.attempts.push(Number(rest[0]))
      story.pids.push(Number(rest[1]))
    }
    if (kind === 'end') story.ends++
    if (kind === 'made') story.made++
    if (kind === 'ok' || kind === 'error') story.outcomes.push([kind, ...rest])
    if (kind === 'sent') story.sent = true
  }
  return stories
}

export interface Verdict {
  readonly answered: number
  readonly failed: number
  readonly sent: number
  /** Keys of calls and sends that were begun more than once. */
  readonly again: readonly string[]
}

/**
 * Nothing is lost and nobody lies: each call that a surviving client made has one outcome; an answer was computed; 'no' was
 * never begun and 'yes' ended; a confirmed send ran.
 */
export async function judge(root: string, { dead = [] }: { readonly dead?: readonly string[] } = {}): Promise<Verdict> {
  await eventually(() => [...readStories(root).values()].every((story) => !story.sent || story.ends > 0), {
    what: 'every confirmed send ran',
    within: 15_000,
  })
  const stories = readStories(root)
  for (const [key, story] of stories) {
    if (story.made > 0 && !dead.some((name) => key.startsWith(`${name}.`)))
      expect(story.outcomes, `outcomes of ${key}`).toHaveLength(1)
    for (const [kind, , executed] of story.outcomes) {
      if (kind === 'ok' || executed === 'yes') expect(story.ends, `ends of ${key}`).toBeGreaterThan(0)
      if (executed === 'no') expect(story.begins, `begins of ${key}`).toBe(0)
    }
  }
  const all = [...stories.entries()]
  return {
    answered: all.filter(([, { outcomes }]) => outcomes[0]?.[0] === 'ok').length,
    failed: all.filter(([, { outcomes }]) => outcomes[0]?.[0] === 'error').length,
    sent: all.filter(([, { sent }]) => sent).length,
    again: all.filter(([, { begins }]) => begins > 1).map(([key]) => key),
  }
}

/** Waits until the ledger has a run of each key. */
export function begun(root: string, ...keys: readonly string[]): Promise<true> {
  return eventually(
    () => {
      const stories = readStories(root)
      return keys.every((key) => (stories.get(key)?.begins ?? 0) > 0)
    },
    { what: `${keys.join(', ')} began` },
  )
}

/** Waits until so many calls were answered since. */
export async function answeredSince(root: string, count: number): Promise<void> {
  const before = countAnswers(root)
  await eventually(() => countAnswers(root) >= before + count, { what: `${count} more answers`, within: 20_000 })
}

function countAnswers(root: string): number {
  return readNotes(root).filter(([kind]) => kind === 'ok').length
}
