import { expect, test, vi } from 'vitest'
import {
  createFaultPoints,
  FAULT_POINTS,
  nothing,
  passFaultPoint,
} from '../../../broker-adapters/embedded/fault-points.ts'

test('without the variable no place does anything', () => {
  expect(process.env['REPLYTO_TEST_KILL_AT']).toBeUndefined()
  expect(passFaultPoint).toBe(nothing)
})

test('only the named place kills, and only at the named passing', () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
  try {
    const pass = createFaultPoints('before commit:2')
    for (const point of FAULT_POINTS) pass(point)
    expect(kill).not.toHaveBeenCalled()
    pass('before commit')
    expect(kill).toHaveBeenCalledExactlyOnceWith(process.pid, 'SIGKILL')
  } finally {
    kill.mockRestore()
  }
})

test.each(['', 'nowhere', 'before commit:0', 'before commit:x'])(
  "a place that does not exist is refused: '%s'",
  (text) => {
    expect(() => createFaultPoints(text)).toThrow(RangeError)
  },
)
