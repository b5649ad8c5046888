/*
 * LMDB maps its file: a damaged one ends the process by a signal, past any `try`. So it is looked at with plain reads
 * before it is opened.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { refusal } from './directory.ts'

/** mdb.c: MDB_MAGIC, MDB_DATA_VERSION; lmdb-js 3 writes version 2, builds without its patches 1. */
const MAGIC = 0xbeefc0de
const VERSIONS = [1, 2]
const PAGE_HEADER_BYTES = [16, 24]
const META_BYTES = 152

/** What the meta pages of a store tell. */
export interface StoreLook {
  /** Undefined: sound, as far as they tell. Else what is wrong, as the end of a sentence. */
  readonly problem: string | undefined
  /**
   * It ends before its last page. A store that was cut does, but so does many a sound one: a page that is taken and given
   * up within one transaction is counted and never written (mdb.c, P_LOOSE). Only reading it tells.
   */
  readonly isShort: boolean
}

export function lookAtStore(path: string): StoreLook {
  const file = join(path, 'data.mdb')
  if (!existsSync(file)) return SOUND
  const fd = openSync(file, 'r')
  try {
    const size = fstatSync(fd).size
    if (size === 0) return SOUND
    const first = readAt(fd, 0, 256)
    const at = PAGE_HEADER_BYTES.find((offset) => isMeta(first, offset))
    if (at === undefined && PAGE_HEADER_BYTES.some((offset) => isNewerMeta(first, offset)))
      throw refusal(`${file} was written by a newer version of LMDB: update the package lmdb here`)
    if (at === undefined) return unsound('its first page is not one of LMDB')
    const pageSize = first.readUInt32LE(at + 24)
    if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0)
      return unsound(`its page size is ${pageSize}`)
    const second = readAt(fd, pageSize, 256)
    if (!isMeta(second, at)) return unsound('its second page is not one of LMDB')
    // Either meta page may be the current one; an older one never knows of more pages.
    const lastPage = Math.max(lastPageOf(first, at), lastPageOf(second, at))
    return { problem: undefined, isShort: (lastPage + 1) * pageSize > size }
  } finally {
    closeSync(fd)
  }
}

const SOUND: StoreLook = { problem: undefined, isShort: false }

function unsound(problem: string): StoreLook {
  return { problem, isShort: false }
}

/** How store-scan.ts says that what it read is no sound store. */
export const DAMAGED_EXIT_CODE = 86
/** What a process dies of that follows a damaged file; any other signal came from outside. */
const SIGNALS_OF_DAMAGE: readonly string[] = ['SIGBUS', 'SIGSEGV', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGTRAP']

/**
 * Read from end to end by a process of its own: for a store that is short, or was in use when the machine went down, of
 * which the meta pages tell too little. If that process could not do its work, that is said, and proves nothing.
 */
export async function findProblem(
  path: string,
  log: (level: 'warn', code: string, message: string) => void,
  program: URL = new URL('./store-scan.js', import.meta.url),
): Promise<string | undefined> {
  const child = spawn(process.execPath, [fileURLToPath(program), path], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-MAX_SAID)))
  const verdict = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(inconclusive(error.message)))
    child.once('close', (code, signal) => {
      if (code === 0) resolve(undefined)
      else if (signal !== null && SIGNALS_OF_DAMAGE.includes(signal)) resolve(`reading it ended with ${signal}`)
      else if (code === DAMAGED_EXIT_CODE) resolve(`reading it ended with ${said.trim()}`)
      else resolve(inconclusive(`${signal ?? `exit code ${code}`} ${said.trim()}`.trim()))
    })
  })
  return verdict
  function inconclusive(why: string): undefined {
    log('warn', 'EMBEDDED_SCAN', `the store could not be read through after the restart of the machine: ${why}`)
  }
}
const MAX_SAID = 500

/** Puts the store out of the way; returns where to. */
export function setAside(dir: string, name: string): string {
  const target = join(dir, `damaged-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
  renameSync(join(dir, name), target)
  return target
}

function readAt(fd: number, position: number, bytes: number): Buffer {
  const page = Buffer.alloc(bytes)
  readSync(fd, page, 0, bytes, position)
  return page
}

function isMeta(page: Buffer, at: number): boolean {
  return page.readUInt32LE(at) === MAGIC && VERSIONS.includes(page.readUInt32LE(at + 4)) && at + META_BYTES <= 256
}

function isNewerMeta(page: Buffer, at: number): boolean {
  const version = page.readUInt32LE(at + 4)
  return page.readUInt32LE(at) === MAGIC && version > Math.max(...VERSIONS) && version < 100
}

/** MDB_meta: u32 magic, u32 version, ptr, size mapsize, MDB_db[2] of 48 bytes (the first one's pad is the page size), pgno last. */
function lastPageOf(page: Buffer, at: number): number {
  return Number(page.readBigUInt64LE(at + 24 + 2 * 48))
}
