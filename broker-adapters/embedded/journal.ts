/*
 * What may be lost in a power cut but not with a process: hand-overs and finished ids. Appended without flushing (the
 * page cache outlives a kill), read by the next hub, which begins a new one. A torn record at the end is ignored.
 *
 *     record   = u8 kind · fields
 *     GRANT    = u48 message · u32 grant · u32 session     a hand-over, before it is sent
 *     SESSION  = u32 session · u16 bytes · JSON of SessionIdentity
 *     FINISHED = u32 queue · u48 at (epoch ms) · u16 bytes · key     after the commit
 */
import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { passFaultPoint } from './fault-points.ts'
import type { ProcessIdentity } from './machine.ts'

export interface SessionIdentity extends Pick<
  ProcessIdentity,
  'pid' | 'startTime' | 'pidNamespace' | 'bootId' | 'machineId'
> {
  readonly session: string
}

export interface Journal {
  grant(message: number, grant: number, session: number): void
  session(number: number, identity: SessionIdentity): void
  finished(queue: number, key: string, at: number): void
  /** Writes what was recorded; call it before anything that relies on it is sent. */
  flush(): void
  readonly size: number
  close(): void
}

/** The last one of a message: its number, and to whom. */
export interface HandOver {
  readonly grant: number
  readonly session: number
}

export interface JournalContents {
  readonly grants: Map<number, HandOver>
  readonly sessions: Map<number, SessionIdentity>
  readonly finished: { readonly queue: number; readonly key: string; readonly at: number }[]
}

/** Records nothing: while there is none. */
export const NO_JOURNAL: Journal = Object.freeze({
  grant() {},
  session() {},
  finished() {},
  flush() {},
  size: 0,
  close() {},
})

const KIND = { grant: 1, session: 2, finished: 3 } as const
const BUFFER_BYTES = 256 * 1024

/** Begins a journal with these contents, complete before it has its name. */
export function createJournal(file: string, contents: JournalContents): Journal {
  const draft = `${file}.draft-${process.pid}`
  const fd = openSync(draft, 'w', 0o600)
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  let at = 0
  let size = 0

  function flush(): void {
    const end = at
    // Also if it fails: what cannot be recorded must not stop what can.
    at = 0
    try {
      for (let from = 0; from < end;) from += writeSync(fd, buffer, from, end - from, size + from)
    } catch (error) {
      // Half a record in the middle would hide all that follows it.
      ftruncateSync(fd, size)
      throw error
    }
    size += end
  }
  function begin(kind: number, bytes: number): void {
    if (at + bytes + 1 > BUFFER_BYTES) flush()
    buffer[at++] = kind
  }
  function text(value: string): void {
    const length = buffer.write(value, at + 2, 'utf8')
    buffer.writeUInt16BE(length, at)
    at += 2 + length
  }
  const journal: Journal = {
    grant(message, grant, session) {
      begin(KIND.grant, 14)
      at = buffer.writeUIntBE(message, at, 6)
      at = buffer.writeUInt32BE(grant, at)
      at = buffer.writeUInt32BE(session, at)
    },
    session(number, identity) {
      const json = JSON.stringify(identity)
      begin(KIND.session, 6 + json.length * 3)
      at = buffer.writeUInt32BE(number, at)
      text(json)
    },
    finished(queue, key, when) {
      begin(KIND.finished, 12 + key.length * 3)
      at = buffer.writeUInt32BE(queue, at)
      at = buffer.writeUIntBE(when, at, 6)
      text(key)
    },
    flush,
    get size() {
      return size
    },
    close: () => closeSync(fd),
  }
  try {
    for (const [number, identity] of contents.sessions) journal.session(number, identity)
    for (const [message, { grant, session }] of contents.grants) journal.grant(message, grant, session)
    for (const { queue, key, at: when } of contents.finished) journal.finished(queue, key, when)
    flush()
  } catch (error) {
    closeSync(fd)
    rmSync(draft, { force: true })
    throw error
  }
  passFaultPoint('journal written')
  renameSync(draft, file)
  passFaultPoint('journal renamed')
  return journal
}

/** Reads what is there up to the first incomplete record. */
export function readJournal(file: string | undefined): JournalContents {
  const contents: JournalContents = { grants: new Map(), sessions: new Map(), finished: [] }
  if (file === undefined) return contents
  const data = readFileSync(file)
  let at = 0
  try {
    while (at < data.length) at = readRecord(data, at, contents)
  } catch (error) {
    // A torn tail: the reads go past the end, or half a JSON does not parse.
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error
  }
  return contents
}

function readRecord(data: Buffer, from: number, contents: JournalContents): number {
  const kind = data.readUInt8(from)
  const at = from + 1
  if (kind === KIND.grant) {
    const grant = { grant: data.readUInt32BE(at + 6), session: data.readUInt32BE(at + 10) }
    contents.grants.set(data.readUIntBE(at, 6), grant)
    return at + 14
  }
  if (kind === KIND.session) {
    const [json, end] = readText(data, at + 4)
    contents.sessions.set(data.readUInt32BE(at), parseIdentity(json))
    return end
  }
  if (kind === KIND.finished) {
    const [key, end] = readText(data, at + 10)
    contents.finished.push({ queue: data.readUInt32BE(at), at: data.readUIntBE(at + 4, 6), key })
    return end
  }
  throw new RangeError(`a record of kind ${kind}`)
}

function readText(data: Buffer, at: number): [string, number] {
  const end = at + 2 + data.readUInt16BE(at)
  if (end > data.length) throw new RangeError('a torn record')
  return [data.toString('utf8', at + 2, end), end]
}

/** Written by `session` above, but files can be damaged. */
function parseIdentity(json: string): SessionIdentity {
  const value: unknown = JSON.parse(json)
  if (typeof value !== 'object' || value === null) throw new RangeError('a session that is no object')
  const { session, pid, startTime, pidNamespace, bootId, machineId } = value as Partial<SessionIdentity> // looked at below
  const texts = [session, startTime, pidNamespace, bootId, machineId]
  if (typeof pid !== 'number' || texts.some((text) => typeof text !== 'string'))
    throw new RangeError('a session whose fields are not what they should be')
  return value as SessionIdentity // just checked
}
