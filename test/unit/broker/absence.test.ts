import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createAbsence } from '../../../broker-adapters/absence.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('an absence of less than a second is not said, a longer one is, with its first reason', () => {
  const said: (string | undefined)[] = []
  const absence = createAbsence((reason) => said.push(reason))
  absence.note('reset')
  vi.advanceTimersByTime(999)
  absence.end()
  vi.advanceTimersByTime(5_000)
  expect(said).toEqual([])
  absence.note('reset')
  absence.note('refused')
  vi.advanceTimersByTime(1_000)
  expect(said).toEqual(['reset'])
})

test('while it lasts each further reason is said once; the next absence says them again', () => {
  const said: (string | undefined)[] = []
  const absence = createAbsence((reason) => said.push(reason))
  absence.note('reset')
  vi.advanceTimersByTime(1_000)
  for (const reason of ['refused', 'refused', 'no answer', 'reset', undefined, undefined]) absence.note(reason)
  expect(said).toEqual(['reset', 'refused', 'no answer', undefined])
  absence.end()
  absence.note('reset')
  vi.advanceTimersByTime(1_000)
  expect(said.at(-1)).toBe('reset')
  expect(said).toHaveLength(5)
})
