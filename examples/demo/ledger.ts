import { existsSync, openSync, readFileSync, writeSync } from 'node:fs'

// Each worker notes which calls it begins and ends in a file of its own, outside of the library: what it held when it was
// killed and which calls ran again are read there and not believed from anybody.

export interface Ledger {
  begun(callId: string): void
  ended(callId: string): void
}

/** Each line is written at once and survives a kill of the process. */
export function openLedger(path: string): Ledger {
  const file = openSync(path, 'a')
  return {
    begun: (callId) => void writeSync(file, `+${callId}\n`),
    ended: (callId) => void writeSync(file, `-${callId}\n`),
  }
}

/** Calls that were begun and not ended. */
export function heldCalls(path: string): ReadonlySet<string> {
  const held = new Set<string>()
  for (const line of linesOf(path)) {
    if (line.startsWith('+')) held.add(line.slice(1))
    else held.delete(line.slice(1))
  }
  return held
}

export function begunCalls(path: string): ReadonlySet<string> {
  return new Set(
    linesOf(path)
      .filter((line) => line.startsWith('+'))
      .map((line) => line.slice(1)),
  )
}

/** Calls that were begun more than once, by whomever. */
export function callsRunAgain(paths: readonly string[]): ReadonlySet<string> {
  const begun = new Set<string>()
  const again = new Set<string>()
  for (const line of paths.flatMap(linesOf)) {
    if (!line.startsWith('+')) continue
    const callId = line.slice(1)
    if (begun.has(callId)) again.add(callId)
    begun.add(callId)
  }
  return again
}

function linesOf(path: string): readonly string[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.slice(0, -1) // what follows the last line end is empty, or a line that a kill cut off
}
