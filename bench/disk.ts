import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { quantile } from './driver.ts'

/** What one durable write costs on this disk, whoever makes it; milliseconds. */
export interface DiskFigures {
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Appends 400 bytes and calls fdatasync, again and again for `limitMs`. */
export function measureDisk(dir: string, limitMs: number): DiskFigures {
  const path = join(dir, 'fdatasync')
  const file = openSync(path, 'a')
  const bytes = Buffer.alloc(400, 'x')
  const times: number[] = []
  try {
    const until = performance.now() + limitMs
    for (let before = performance.now(); before < until; before = performance.now()) {
      writeSync(file, bytes)
      fdatasyncSync(file)
      times.push(performance.now() - before)
    }
  } finally {
    closeSync(file)
    rmSync(path)
  }
  const sorted = times.toSorted((a, b) => a - b)
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
}
