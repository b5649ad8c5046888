/*
 * Who keeps the queues of a directory. The files, all in it:
 *
 *     hub-<epoch>.json    the hub of that epoch; made whole under another name, then link()ed, so there is exactly one
 *     try-<epoch>         somebody is about to become it (only saves the others the work)
 *     released-<epoch>    that hub has closed its store, or its process exited in order
 *     store-<epoch>/      an LMDB store, named by hub files; made by the hub of that epoch
 *     journal-<epoch>     hand-overs and finished ids, see journal.ts
 *     s-….sock            a hub's, or would-be hub's, socket
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { passFaultPoint } from './fault-points.ts'
import { isProvablyDead, isSameMachine, thisProcess, type ProcessIdentity } from './machine.ts'

/** What the files, the store and the socket say has this version; any other is refused. */
export const FORMAT = 2

export interface HubRecord extends ProcessIdentity {
  readonly format: number
  /** File names in the directory. */
  readonly socket: string
  readonly store: string
  /** The store that `store` is a snapshot of: where to look if its maker died before it was done. */
  readonly from: string
  readonly durability: 'disk' | 'process'
}

/** What is known of a hub that does not answer. */
export type Fate = 'released' | 'dead' | 'silent' | 'elsewhere' | 'abandoned'

/** How long ago another machine's hub may have shown itself and still count as alive; hubs do it every 2 s. */
const ELSEWHERE_MS = 30_000

export function hubFile(dir: string, epoch: number): string {
  return join(dir, `hub-${epoch}.json`)
}
export function releasedFile(dir: string, epoch: number): string {
  return join(dir, `released-${epoch}`)
}
export function journalFile(dir: string, epoch: number): string {
  return join(dir, `journal-${epoch}`)
}

/** The latest epoch that has a hub file; 0: none. */
export function latestEpoch(dir: string): number {
  return Math.max(0, ...numbered(dir, /^hub-(\d+)\.json$/))
}

/** Undefined for a file that is missing or incomplete: its hub cannot have confirmed anything. */
export function readHub(dir: string, epoch: number): HubRecord | undefined {
  try {
    return parseRecord(JSON.parse(readFileSync(hubFile(dir, epoch), 'utf8')))
  } catch {
    return undefined
  }
}

/** What became of the hub of this epoch, as far as it can be proved. */
export function fateOf(dir: string, epoch: number, record: HubRecord | undefined): Fate {
  if (record === undefined || isProvablyDead(record)) return 'dead'
  if (existsSync(releasedFile(dir, epoch))) return 'released'
  if (isSameMachine(record)) return 'silent'
  return Date.now() - statSync(hubFile(dir, epoch)).mtimeMs < ELSEWHERE_MS ? 'elsewhere' : 'abandoned'
}

/**
 * Takes the intent to become the hub of this epoch, so that the others need not try. False: somebody who lives has it.
 * Only saves work: the link decides.
 */
export function takeIntent(dir: string, epoch: number): boolean {
  const file = join(dir, `try-${epoch}`)
  try {
    writeFileSync(file, JSON.stringify(thisProcess()), { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    // On a full disk nobody can say what he is about to do.
    if (codeOf(error) === 'ENOSPC') return true
    if (codeOf(error) !== 'EEXIST') throw error
  }
  const owner = readIntent(file)
  return owner !== undefined && (isProvablyDead(owner) || owner.pid === process.pid)
}

/** Who is about to become the hub of this epoch has died. */
export function isIntentDead(dir: string, epoch: number): boolean {
  const owner = readIntent(join(dir, `try-${epoch}`))
  return owner !== undefined && isProvablyDead(owner)
}

function readIntent(file: string): ProcessIdentity | undefined {
  try {
    const owner: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof owner === 'object' && owner !== null ? (owner as ProcessIdentity) : undefined // only compared, field by field
  } catch {
    // Not there, being written, or just cleaned up: the next look tells.
    return undefined
  }
}

/** The compare-and-set: true, if this record is now the hub of this epoch and no later one exists. */
export function becomeHub(dir: string, epoch: number, record: HubRecord): boolean {
  const draft = join(dir, `draft-${process.pid}-${record.socket}`)
  try {
    writeDraft(draft, record)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  passFaultPoint('before link')
  try {
    linkSync(draft, hubFile(dir, epoch))
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(draft)
  }
  if (latestEpoch(dir) === epoch) return true
  // A late contender made a number anew that had been cleaned up.
  rmSync(hubFile(dir, epoch), { force: true })
  return false
}

function writeDraft(draft: string, record: HubRecord): void {
  const file = openSync(draft, 'w', 0o600)
  try {
    writeFileSync(file, JSON.stringify(record))
    if (record.durability === 'disk') fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Somebody else is the hub now. Two looks, because files are cleaned up in ascending order: either the successor's is
 * there, or, if that is gone already, one's own went before it. About 2 µs.
 */
export function isSuperseded(dir: string, epoch: number): boolean {
  return existsSync(hubFile(dir, epoch + 1)) || !existsSync(hubFile(dir, epoch))
}

/** Shows other machines that this hub lives. */
export function touchHub(dir: string, epoch: number): void {
  const now = new Date()
  utimesSync(hubFile(dir, epoch), now, now)
}

/** On a disk without room for it nothing is said; then the end of the process is what proves it. */
export function markReleased(dir: string, epoch: number): void {
  try {
    writeFileSync(releasedFile(dir, epoch), '', { mode: 0o600 })
  } catch (error) {
    if (codeOf(error) !== 'ENOSPC') throw error
  }
}

/** The store that the hub of `epoch` used, following it back over hubs that died before their snapshot was done. */
export function findStore(dir: string, epoch: number): string | undefined {
  const record = readHub(dir, epoch)
  for (const name of [record?.store, record?.from]) {
    if (name !== undefined && name !== '' && existsSync(join(dir, name, 'data.mdb'))) return name
  }
  if (record !== undefined && epoch > 1) return findStore(dir, epoch - 1)
  const stores = numbered(dir, /^store-(\d+)$/).toSorted((a, b) => b - a)
  return stores.map((number) => `store-${number}`).find((name) => existsSync(join(dir, name, 'data.mdb')))
}

/** The journal that the hub of `epoch` used or, if it died before it had one, the latest before. */
export function findJournal(dir: string, epoch: number): string | undefined {
  const numbers = numbered(dir, /^journal-(\d+)$/).filter((number) => number <= epoch)
  return numbers.length === 0 ? undefined : journalFile(dir, Math.max(...numbers))
}

/** Removes what hubs before the last one left; ascending, which isSuperseded relies on. */
export function cleanUp(dir: string, epoch: number, own: HubRecord): void {
  const before = epoch - 2
  const old = (pattern: RegExp): number[] =>
    numbered(dir, pattern)
      .filter((number) => number <= before)
      .toSorted((a, b) => a - b)
  for (const number of old(/^hub-(\d+)\.json$/)) {
    const socket = readHub(dir, number)?.socket
    if (socket !== undefined && socket !== own.socket) rmSync(join(dir, socket), { force: true })
    rmSync(hubFile(dir, number), { force: true })
  }
  passFaultPoint('half cleaned up')
  for (const number of old(/^released-(\d+)$/)) rmSync(releasedFile(dir, number), { force: true })
  for (const number of old(/^journal-(\d+)$/)) rmSync(journalFile(dir, number), { force: true })
  for (const number of old(/^try-(\d+)$/)) rmSync(join(dir, `try-${number}`), { force: true })
  const kept = new Set([own.store, own.from, readHub(dir, epoch - 1)?.store])
  for (const number of old(/^store-(\d+)$/)) {
    if (!kept.has(`store-${number}`)) rmSync(join(dir, `store-${number}`), { recursive: true, force: true })
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function numbered(dir: string, pattern: RegExp): number[] {
  return readdirSync(dir).flatMap((name) => {
    const match = pattern.exec(name)
    return match === null ? [] : [Number(match[1])]
  })
}

function parseRecord(value: unknown): HubRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const record = value as Partial<HubRecord> // each field is looked at below
  const isWhole =
    typeof record.format === 'number' &&
    typeof record.pid === 'number' &&
    [
      record.socket,
      record.store,
      record.from,
      record.startTime,
      record.pidNamespace,
      record.bootId,
      record.machineId,
    ].every((field) => typeof field === 'string' && !field.includes('/'))
  return isWhole ? (record as HubRecord) : undefined // just checked
}
