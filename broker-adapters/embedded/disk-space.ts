/*
 * What is left of the disk. Publishes are refused while there is still room, so that what is stored can be settled. Two
 * files hold room for when others have taken the rest: one for settling, one for the next hub, which has to write its
 * record and claim the store before it can free anything.
 */
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface DiskSpace {
  /** Bytes that are left for new messages if these are stored too; looked at once a second, or a MiB. */
  leftAfter(bytes: number): number
  readonly isFull: () => boolean
  /** Whether this failure of a write comes from a full disk, rather than from a broken one. */
  explains(error: unknown): boolean
  /** Lets go of what is held for this; false: it is gone already. */
  release(what: Reserve): boolean
  /** Holds what is not held yet, if there is plenty. */
  readonly reserve: () => void
}
export type Reserve = keyof typeof RESERVES

/** Publishes are refused below this. */
export const MIN_FREE_BYTES = 16 * 1024 * 1024
const RESERVES = { settling: 1024 * 1024, takeover: 128 * 1024 } as const
/** A write of LMDB that fails with less left than this failed for want of room, whatever it says: a short write is an I/O error to it. */
const FULL_BYTES = 1024 * 1024
const LOOK_MS = 1_000
const LOOK_BYTES = 1024 * 1024
const ENOSPC = 28

/** @param reusableBytes what the store has allocated on the disk and does not use: its file never shrinks */
export function createDiskSpace(dir: string, reusableBytes: () => number): DiskSpace {
  let lookedAt = 0
  let room = 0
  let since = 0

  function freeBytes(): number {
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize
  }
  function look(): void {
    room = freeBytes() + reusableBytes()
    lookedAt = Date.now()
    since = 0
  }
  const isFull = (): boolean => freeBytes() < FULL_BYTES
  return {
    leftAfter(bytes) {
      if (since > LOOK_BYTES || Date.now() - lookedAt >= LOOK_MS) look()
      since += bytes
      return room - since
    },
    isFull,
    explains: (error) => codeOf(error) === ENOSPC || isFull(),
    release(what) {
      const file = reserveFile(dir, what)
      if (!existsSync(file)) return false
      rmSync(file, { force: true })
      return true
    },
    reserve() {
      for (const [what, bytes] of Object.entries(RESERVES)) {
        const file = reserveFile(dir, what)
        if (existsSync(file) || freeBytes() < MIN_FREE_BYTES + bytes) continue
        try {
          // Not zeroes: a file system may store those as nothing.
          writeFileSync(file, Buffer.alloc(bytes, 1), { mode: 0o600 })
        } catch {
          // Somebody was faster; another time.
          rmSync(file, { force: true })
        }
      }
    },
  }
}

function reserveFile(dir: string, what: string): string {
  return join(dir, `reserve-${what}`)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
