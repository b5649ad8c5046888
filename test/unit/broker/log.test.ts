import { afterEach, expect, test, vi } from 'vitest'
import type { LogLine } from '../../../broker-adapters/broker.ts'
import { createLog } from '../../../broker-adapters/log.ts'

afterEach(() => void vi.restoreAllMocks())

test('one line per code and subject a minute, with the number of those held back', () => {
  let now = 0
  const lines: LogLine[] = []
  const log = createLog(
    (line) => void lines.push(line),
    () => now,
  )
  for (let n = 0; n < 5; n++) log.write('warn', 'A', `line ${n}`, 'queue 1')
  log.write('warn', 'A', 'another subject', 'queue 2')
  now = 60_000
  log.write('error', 'A', 'later', 'queue 1')
  log.write('debug', 'A', 'held back', 'queue 1')
  log.close()
  expect(lines.map(({ level, message, count }) => [level, message, count])).toEqual([
    ['warn', 'line 0', 1],
    ['warn', 'another subject', 1],
    ['error', 'later', 5],
    ['error', '1 more lines of this kind were held back', 1],
  ])
})

test('what it remembers is bounded', () => {
  let count = 0
  const log = createLog(
    () => count++,
    () => 0,
  )
  for (let n = 0; n < 1001; n++) log.write('warn', 'A', 'x', `queue ${n}`)
  log.write('warn', 'A', 'x', 'queue 0') // the oldest was forgotten
  expect(count).toBe(1002)
})

test('a log function that throws is replaced by stderr for its line; debug and info never go there', () => {
  const written: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  const log = createLog(
    () => {
      throw new Error('no disk')
    },
    () => 0,
  )
  log.write('warn', 'A', 'said all the same')
  log.write('debug', 'B', 'not said')
  expect(written.join('')).toMatch(/no disk[^]*said all the same/)
  expect(written.join('')).not.toContain('not said')
})
