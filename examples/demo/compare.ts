import { analyse, unreadableReason } from './analyse.ts'
import type { FileResult } from './calls.ts'

export interface Comparison {
  /** A line per file whose results differ. */
  readonly differences: readonly string[]
  readonly elapsedMs: number
}

/** Computes the same figures again, here, one file after the other, and compares them with what the workers answered. */
export async function compareLocally(
  results: ReadonlyMap<string, FileResult>,
  signal: AbortSignal,
): Promise<Comparison> {
  const started = performance.now()
  const differences: string[] = []
  for (const [path, result] of results) {
    if (signal.aborted) break
    const local = await analyseHere(path)
    const [theirs, ours] = [textOf(result), textOf(local)]
    if (theirs !== ours) differences.push(`${path}: by a worker ${theirs}, here ${ours}`)
  }
  return { differences, elapsedMs: performance.now() - started }
}

async function analyseHere(path: string): Promise<FileResult> {
  try {
    return { figures: await analyse(path) }
  } catch (error) {
    return { unreadable: unreadableReason(error) }
  }
}

function textOf(result: FileResult): string {
  if ('unreadable' in result) return `unreadable (${result.unreadable})`
  const { bytes, sha256, gzipBytes, lines, words } = result.figures
  return `${bytes} bytes, ${gzipBytes} compressed, ${lines} lines, ${words} words, SHA-256 ${sha256}`
}
