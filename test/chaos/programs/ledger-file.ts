import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A line written outside of the system under test; whole lines, whoever is killed. */
export type Note = (...words: readonly (string | number)[]) => void

export function openNotes(root: string): Note {
  const file = openSync(join(root, 'ledger'), 'a')
  process.on('exit', () => closeSync(file))
  return (...words) => void writeSync(file, `${words.join(' ')}\n`)
}

export function readNotes(root: string): string[][] {
  const file = join(root, 'ledger')
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' '))
    : []
}

export function gateFile(root: string, key: string): string {
  return join(root, `gate-${key}`)
}

export function openGate(root: string, key: string): void {
  writeFileSync(gateFile(root, key), '')
}

/** Resolves when the test has opened the gate, or the signal aborts. */
export async function gate(root: string, key: string, signal?: AbortSignal): Promise<void> {
  while (!existsSync(gateFile(root, key)) && signal?.aborted !== true) await sleep(5)
}
