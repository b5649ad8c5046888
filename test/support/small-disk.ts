import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A file system of its own, in memory. */
export interface SmallDisk {
  readonly path: string
  /** Takes all room that is left, to the last page. */
  fill(): void
  /** Gives it back. */
  empty(): void
  unmount(): void
}

/** Undefined where it cannot be mounted (that takes root on Linux), which is an error where CI=true. */
export function mountSmallDisk(root: string, mebibytes: number): SmallDisk | undefined {
  const path = join(root, 'disk')
  mkdirSync(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'tmpfs', path], { stdio: 'pipe' })
  } catch (error) {
    if (process.env['CI'] === 'true') throw error
    console.log('no file system can be mounted here, so the tests of full disks are skipped')
    return undefined
  }
  const filler = join(path, 'filler')
  return {
    path,
    fill: () => writeUntilFull(filler),
    empty: () => rmSync(filler, { force: true }),
    unmount: () => void execFileSync('umount', ['-l', path]),
  }
}

function writeUntilFull(file: string): void {
  const fd = openSync(file, 'a')
  for (let size = 1024 * 1024; size >= 1;) {
    try {
      writeSync(fd, Buffer.alloc(size, 1))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      size = Math.floor(size / 2)
    }
  }
  closeSync(fd)
}
