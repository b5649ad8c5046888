import type { Database, RootDatabase } from 'lmdb'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { BrokerError, messageOf } from '../../protocol/errors.ts'
import { checkFormat } from './directory.ts'
import { FORMAT } from './election.ts'
import { redactError } from '../../protocol/redact.ts'
import type { ExitGate } from './exit-gate.ts'
import { passFaultPoint } from './fault-points.ts'

type Lmdb = typeof import('lmdb')

/** Tables by sequence number; a number is used once over all of them. */
export type Table = 'messages' | 'letters' | 'replies' | 'mailboxes'
/** Tables by name: queue → its record, inbox → lease, counter → the last number that may be in use. */
export type NamedTable = 'queues' | 'inboxes' | 'counters'

export interface Write {
  readonly table: Table | NamedTable
  readonly key: number | string
  /** Undefined: remove. */
  readonly value: Buffer | undefined
}

/** The LMDB store of one hub. Only the hub of the highest epoch can write to it. */
export interface Store {
  /** All or nothing. False: a later epoch has claimed it, nothing was written. Rejects if the disk refuses. */
  commit(writes: Iterable<Write>): Promise<boolean>
  read(table: Table, key: number): Buffer | undefined
  /** At most `limit`, in order of sequence numbers, from this one on; the values are copies. */
  scan(table: Table, from: number, limit: number): Iterable<{ readonly key: number; readonly value: Buffer }>
  scanNamed(table: NamedTable): Iterable<{ readonly key: string; readonly value: Buffer }>
  /** What its file has room for without growing; about, and none of it need be in one piece. */
  reusableBytes(): number
  close(): Promise<void>
}

/** Loads lmdb, which is an optional dependency. */
export async function loadLmdb(): Promise<Lmdb> {
  try {
    return await import('lmdb')
  } catch (error) {
    throw new BrokerError('BROKER_REFUSED', 'the embedded broker needs the package lmdb: npm i lmdb', {
      cause: redactError(error),
    })
  }
}

/**
 * Copies the store of a hub that may still live and be frozen inside a transaction: a compacting snapshot needs no lock
 * that it may hold. Written beside the target and renamed, so that what has the name is whole.
 */
export async function snapshotStore(lmdb: Lmdb, from: string, to: string): Promise<void> {
  const draft = `${to}.draft-${process.pid}`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { mode: 0o700 })
  const source = lmdb.open({ path: from, readOnly: true, encoding: 'binary', maxDbs: MAX_DBS })
  try {
    await source.backup(draft, true)
  } finally {
    await source.close()
  }
  passFaultPoint('snapshot written')
  renameSync(draft, to)
  passFaultPoint('snapshot renamed')
}

/** Reads everything, read-only. A damaged store ends the process by a signal, past any `try`. */
export async function scanStore(lmdb: Lmdb, path: string): Promise<void> {
  const root = lmdb.open<Buffer, Buffer>({ path, readOnly: true, encoding: 'binary', maxDbs: MAX_DBS })
  for (const name of ['meta', 'messages', 'letters', 'replies', 'mailboxes', 'queues', 'inboxes', 'counters']) {
    const table = root.openDB<Buffer, Buffer>(name, { encoding: 'binary', keyEncoding: 'binary' })
    // A store that was never used lacks some.
    if (table === undefined) continue
    for (const { value } of table.getRange({ snapshot: false })) Buffer.from(value)
  }
  await root.close()
}

/** Opens the store and claims it for this epoch; throws if a higher one has it. The gate is entered by the caller. */
export function openStore(
  lmdb: Lmdb,
  options: {
    readonly path: string
    readonly epoch: number
    readonly durability: 'disk' | 'process'
    readonly gate: ExitGate
  },
): Store {
  const { path, epoch, gate } = options
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const tuning = {
    path,
    // With it a kill of the writer leaves the survivors with MDB_PANIC.
    overlappingSync: false,
    noSync: options.durability === 'process',
    encoding: 'binary' as const,
    // Both off: one group is one transaction, and a failed one raises no rejection that nobody can catch.
    eventTurnBatching: false,
    batchStartThreshold: 1e9,
    maxDbs: MAX_DBS,
  }
  const root: RootDatabase<Buffer, Buffer> = lmdb.open(tuning)
  const meta = root.openDB<Buffer, string>('meta', { encoding: 'binary', useVersions: true })
  const bySequence: Record<Table, Database<Buffer, Buffer>> = {
    messages: root.openDB('messages', { encoding: 'binary', keyEncoding: 'binary' }),
    letters: root.openDB('letters', { encoding: 'binary', keyEncoding: 'binary' }),
    replies: root.openDB('replies', { encoding: 'binary', keyEncoding: 'binary' }),
    mailboxes: root.openDB('mailboxes', { encoding: 'binary', keyEncoding: 'binary' }),
  }
  const byName: Record<NamedTable, Database<Buffer, string>> = {
    queues: root.openDB('queues', { encoding: 'binary' }),
    inboxes: root.openDB('inboxes', { encoding: 'binary' }),
    counters: root.openDB('counters', { encoding: 'binary' }),
  }
  passFaultPoint('store opened')
  claim({ root, meta, path }, epoch)

  function apply(write: Write): void {
    // lmdb's promises of single writes say nothing here (inside a failed ifVersion they resolve true): the group's does.
    if (typeof write.key === 'number') {
      const table = bySequence[write.table as Table] // numbers are keys of these tables only
      if (write.value === undefined) void table.remove(keyOf(write.key))
      else void table.put(keyOf(write.key), write.value)
      return
    }
    const table = byName[write.table as NamedTable] // and names of those
    if (write.value === undefined) void table.remove(write.key)
    else void table.put(write.key, write.value)
  }

  return {
    async commit(writes) {
      if (!gate.enter()) return new Promise(() => undefined)
      try {
        passFaultPoint('before commit')
        // The list is complete before the callback runs: what a throwing callback has put would be stored.
        const stored = meta.ifVersion(EPOCH_KEY, epoch, () => {
          for (const write of writes) apply(write)
        })
        passFaultPoint('commit begun')
        return await stored
      } catch (error) {
        await causeOf(error)
        throw error
      } finally {
        gate.leave()
      }
    },
    read: (table, key) => bySequence[table].get(keyOf(key)),
    *scan(table, from, limit) {
      const range = { start: Buffer.from(keyOf(from)), limit, snapshot: false }
      for (const { key, value } of bySequence[table].getRange(range)) {
        yield { key: sequenceOf(key), value }
      }
    },
    *scanNamed(table) {
      for (const { key, value } of byName[table].getRange({ snapshot: false })) yield { key, value: Buffer.from(value) }
    },
    reusableBytes() {
      const { pageSize, lastPageNumber } = root.getStats() as PageCounts & FileStats // lmdb types it as any
      const tables = [root, meta, ...Object.values(bySequence), ...Object.values(byName)]
      const used = tables.reduce((pages, table) => pages + pagesOf(table.getStats() as PageCounts), 0)
      return Math.max(0, lastPageNumber + 1 - used) * pageSize
    },
    close: () => root.close(),
  }
}

/** Of what mdb_stat and mdb_env_info say. */
interface PageCounts {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}
interface FileStats {
  readonly pageSize: number
  readonly lastPageNumber: number
}
function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: PageCounts): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages
}

const MAX_DBS = 12
const EPOCH_KEY = 'epoch'
const FORMAT_KEY = 'format'

function claim(
  { root, meta, path }: { root: RootDatabase<Buffer, Buffer>; meta: Database<Buffer, string>; path: string },
  epoch: number,
): void {
  const isOurs = root.transactionSync(() => {
    const latest = meta.getEntry(EPOCH_KEY)?.version ?? 0
    // The first format did not name itself.
    checkFormat(path, latest === 0 ? FORMAT : Number(meta.get(FORMAT_KEY)?.toString() ?? 1))
    if (latest >= epoch) return false
    void meta.put(FORMAT_KEY, Buffer.from(String(FORMAT)), epoch)
    void meta.put(EPOCH_KEY, Buffer.from(String(epoch)), epoch)
    return true
  })
  if (!isOurs) throw new BrokerError('BROKER_UNAVAILABLE', `the store was claimed by a hub later than ${epoch}`)
}

/** One for all: lmdb copies a key before it returns. */
const key = Buffer.alloc(8)

/** Sequence numbers as 8 bytes, big endian: new ones append, and they load in order. */
function keyOf(sequence: number): Buffer {
  key.writeUInt32BE(Math.floor(sequence / 0x1_0000_0000), 0)
  key.writeUInt32BE(sequence >>> 0, 4)
  return key
}

/** As a small integer where it is one: V8 keeps what it takes for a fraction outside of its object, 16 bytes each. */
function sequenceOf(key: Buffer): number {
  const high = key.readUInt32BE(0)
  const low = key.readUInt32BE(4)
  return high === 0 && low < 0x8000_0000 ? low | 0 : high * 0x1_0000_0000 + low
}

/** lmdb rejects with "Commit failed" and hangs the cause on it as a promise, which must be caught too. */
async function causeOf(error: unknown): Promise<void> {
  if (!(error instanceof Error) || !('commitError' in error)) return
  try {
    await error.commitError
  } catch (cause) {
    error.message = `${error.message}: ${messageOf(cause)}`
    if (cause instanceof Error && 'code' in cause) Object.assign(error, { code: cause.code })
  }
}
