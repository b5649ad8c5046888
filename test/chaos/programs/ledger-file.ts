// The ledger: one file that all processes of a test append to, outside of the system under test. A line is written by one
// system call, so whole lines are there whoever is killed.
import { closeSync, existsSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * | line | by | meaning |
 * | --- | --- | --- |
 * | `begin <key> <attempt> <pid>` | worker | a handler was entered |
 * | `end <key> <attempt> <pid>` | worker | it ended, in whatever way |
 * | `made <key> <kind>` | client | a call is made |
 * | `ok <key>`, `error <key> <code> <executed> <stage>` | client | its promise settled |
 * | `sending <key>`, `sent <key>`, `unsent <key> <code> <executed> <stage>` | client | the same of a send |
 * | `odd <what> …` | both | what must not happen |
 * | `strike <process> <what>` | test | a signal, or an order |
 */
export type Note = (...words: readonly (string | number)[]) => void

export function ledgerFile(root: string): string {
  return join(root, 'ledger')
}

export function openNotes(root: string): Note {
  const file = openSync(ledgerFile(root), 'a')
  process.on('exit', () => closeSync(file))
  return (...words) => void writeSync(file, `${words.map((word) => String(word).replaceAll(/\s/g, '_')).join(' ')}\n`)
}

function gateFile(root: string, key: string): string {
  return join(root, `gate-${key}`)
}

export function openGates(root: string, ...keys: readonly string[]): void {
  for (const key of keys) writeFileSync(gateFile(root, key), '')
}

/** Resolves when the test has opened the gate, or the signal aborts. */
export async function gate(root: string, key: string, signal?: AbortSignal): Promise<void> {
  while (!existsSync(gateFile(root, key)) && signal?.aborted !== true) await sleep(5)
}

/** True once per key and directory, whichever process asks. */
export function isFirst(root: string, key: string): boolean {
  const file = join(root, `first-${key}`)
  if (existsSync(file)) return false
  writeFileSync(file, '')
  return true
}
