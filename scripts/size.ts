import { execFileSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installInto, packInto } from './pack.ts'

// `npm run size`: what it costs to have the package: bytes on disk and the time that an import takes. Build first.

const STARTS = 15
const ENTRIES = [
  'replyto',
  'replyto/contract',
  'replyto/embedded',
  'replyto/memory',
  'replyto/adapter',
  'replyto/testing',
]

const dir = mkdtempSync(join(tmpdir(), 'replyto-size-'))
try {
  const tarball = await packInto(join(dir, 'tarball'))
  const project = join(dir, 'project')
  await installInto(project, { replyto: `file:${tarball}` })
  const modules = join(project, 'node_modules')
  const own = sizeOf(join(modules, 'replyto'))
  const all = sizeOf(modules)
  console.log(`tarball                    ${kilobytes(statSync(tarball).size)}`)
  console.log(`installed, our own         ${kilobytes(own.bytes)} in ${own.files} files`)
  console.log(
    `installed, with all it needs ${kilobytes(all.bytes)} in ${all.files} files, ${packagesIn(modules)} packages`,
  )
  const empty = medianStartMs(project, '')
  console.log(`node alone                 ${empty.toFixed(0)} ms (median of ${STARTS} processes, as are these)`)
  for (const entry of ENTRIES) {
    const ms = medianStartMs(project, `await import('${entry}')`)
    console.log(`import('${entry}')`.padEnd(27) + `${(ms - empty).toFixed(0)} ms more`)
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}

function medianStartMs(cwd: string, code: string): number {
  const times = Array.from({ length: STARTS }, () => {
    const started = performance.now()
    execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd })
    return performance.now() - started
  })
  return times.toSorted((a, b) => a - b)[Math.floor(STARTS / 2)] ?? NaN
}

function sizeOf(path: string): { readonly bytes: number; readonly files: number } {
  const info = lstatSync(path)
  if (!info.isDirectory()) return { bytes: info.size, files: 1 }
  let bytes = 0
  let files = 0
  for (const name of readdirSync(path)) {
    const inner = sizeOf(join(path, name))
    bytes += inner.bytes
    files += inner.files
  }
  return { bytes, files }
}

function packagesIn(modules: string): number {
  return readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => (name.startsWith('@') ? readdirSync(join(modules, name)) : [name])).length
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(0)} kB`
}
