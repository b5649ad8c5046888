import { describe, expect, test } from 'vitest'
import { CLOCK_TOLERANCE_MS, describeExpiry, isExpired, readDeadline } from '../../../protocol/deadline.ts'

const at = Date.parse('2026-01-02T03:04:05.000Z')
const headers = { 'rt-deadline': String(at), 'rt-sent': String(at - 30_000), 'rt-host': 'here' }

function deadlineFrom(host: string, more: Record<string, string> = {}): NonNullable<ReturnType<typeof readDeadline>> {
  const deadline = readDeadline({ ...headers, ...more }, host)
  if (deadline === undefined) throw new Error('no deadline was read')
  return deadline
}

describe('expired', () => {
  test('by the same clock: as soon as the deadline has passed', () => {
    expect(isExpired(deadlineFrom('here'), at)).toBe(false)
    expect(isExpired(deadlineFrom('here'), at + 1)).toBe(true)
  })

  test('by another clock: 5 s later', () => {
    expect(CLOCK_TOLERANCE_MS).toBe(5000)
    expect(isExpired(deadlineFrom('elsewhere'), at + 5000)).toBe(false)
    expect(isExpired(deadlineFrom('elsewhere'), at + 5001)).toBe(true)
  })

  test('a sender that names no clock has another one', () => {
    expect(readDeadline({ 'rt-deadline': '5' }, 'here')?.isSameClock).toBe(false)
  })
})

describe('a message without a deadline', () => {
  test.each([
    {},
    { 'rt-deadline': '' },
    { 'rt-deadline': 'soon' },
    { 'rt-deadline': '-5' },
    { 'rt-deadline': '1e300' },
  ])('%j', (headers) => {
    expect(readDeadline(headers, 'here')).toBeUndefined()
  })
})

describe('the message', () => {
  test('names both times', () => {
    expect(describeExpiry(deadlineFrom('here'), at + 1)).toBe(
      "its deadline was 2026-01-02T03:04:05.000Z, sent at 2026-01-02T03:03:35.000Z by the caller's clock, " +
        "and the worker's clock said 2026-01-02T03:04:05.001Z",
    )
  })

  test('of another machine asks to compare the clocks', () => {
    expect(describeExpiry(deadlineFrom('elsewhere'), at + 6000)).toMatch(
      /the clocks are those of two machines: compare them$/,
    )
  })

  test('does without the time of sending', () => {
    expect(describeExpiry(deadlineFrom('here', { 'rt-sent': 'x' }), at)).toMatch(
      /^its deadline was \S+, and the worker's/,
    )
  })

  test.each(['0', '999999999999999'])('is made for an absurd deadline of %s too', (absurd) => {
    const deadline = deadlineFrom('here', { 'rt-deadline': absurd, 'rt-sent': absurd })
    expect(describeExpiry(deadline, at)).toContain('its deadline was')
    expect(isExpired(deadline, at)).toBe(absurd === '0')
  })
})
