import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { binOf } from './steps.ts'

// Compiles everything into dist/ and makes it publishable. What no source stands for any more is removed afterwards, not
// before: processes that run from dist/ meanwhile still find their modules.

const DIST = 'dist'
const EMITTED = 'TSFILE: '

process.exitCode = build()

function build(): number {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [binOf('typescript'), '-p', '.', '--pretty', 'false', '--listEmittedFiles'],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  )
  const lines = stdout.split(/\r?\n/)
  const emitted = lines.filter((line) => line.startsWith(EMITTED)).map((line) => resolve(line.slice(EMITTED.length)))
  const messages = lines.filter((line) => line !== '' && !line.startsWith(EMITTED))
  for (const message of messages) console.error(message)
  if (stderr !== '') console.error(stderr)
  if (status !== 0 || emitted.length === 0) return 1
  removeAllBut(new Set(emitted), DIST)
  for (const file of emitted) if (file.endsWith('.d.ts')) nameEmittedFiles(file)
  return 0
}

/** Returns whether the directory is empty now. */
function removeAllBut(kept: ReadonlySet<string>, dir: string): boolean {
  let left = 0
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) left += removeAllBut(kept, path) ? 0 : 1
    else if (kept.has(resolve(path))) left++
    else rmSync(path)
  }
  if (left === 0 && dir !== DIST) rmdirSync(dir)
  return left === 0
}

/** The compiler rewrites `./x.ts` to `./x.js` in what it emits as JavaScript, but not in declarations. */
function nameEmittedFiles(file: string): void {
  const text = readFileSync(file, 'utf8')
  const changed = text.replace(/(\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2')
  if (changed !== text) writeFileSync(file, changed)
}
