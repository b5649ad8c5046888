import { messageOf } from '../../protocol/errors.ts'
import { parseHello } from './hello.ts'
import type { HubConnection } from './hub-connection.ts'
import type { Entry, HubQueue } from './hub-queue.ts'
import { createJournal, NO_JOURNAL, type Journal, type JournalContents, type SessionIdentity } from './journal.ts'
import { isProvablyAlive, isProvablyDead, thisProcess } from './machine.ts'
import { OP, type Hello } from './wire.ts'

/**
 * The processes that the hub and its predecessors knew, and what they held. A session is one adapter of one process, over
 * all its connections.
 */
export interface HubSessions {
  /** Names the connection's session. An earlier connection of the same session is ended. */
  hello(connection: HubConnection, json: string, connections: Iterable<HubConnection>): void
  /** What the last hub had handed to this session waits for it; false: that process is dead. */
  mayReturn(session: number): boolean
  keepForReturn(entry: Entry): void
  /** The session is back; what it did not resume goes back to the queues. */
  resumed(session: number, giveBack: (entry: Entry) => void): void
  /** What waits for processes that are not known to live goes back to the queues; true: that is all. */
  endGrace(giveBack: (entry: Entry) => void): boolean
  /** Nobody is waited for any longer. */
  endAllGrace(giveBack: (entry: Entry) => void): void
  /** Begins the journal of this hub, with what is known of the last. */
  begin(queues: ReadonlyMap<string, HubQueue>): void
  readonly journal: () => Journal
  /** Writes the journal out; begins it anew when it has grown. */
  flush(): void
  close(): void
}

const MAX_JOURNAL_BYTES = 64 * 1024 * 1024
const MAX_STANDBYS = 2
const STANDBY_AFTER_MS = 1_000

export function createHubSessions(options: {
  readonly file: string
  readonly contents: JournalContents
  readonly handedOut: () => ReadonlyMap<number, Entry>
  /** Whether it makes sense to begin a journal again that could not be written. */
  readonly hasRoom: () => boolean
  readonly log: (level: 'warn', code: string, message: string) => void
}): HubSessions {
  const identities = new Map<number, SessionIdentity>()
  const numbers = new Map<string, number>()
  const grace = new Map<number, Set<Entry>>()
  const standbys = new Set<HubConnection>()
  let queues: ReadonlyMap<string, HubQueue> = new Map()
  let journal: Journal = NO_JOURNAL
  let last = 0
  let isJournalFailing = false
  for (const [number, identity] of options.contents.sessions) {
    last = Math.max(last, number)
    if (isProvablyDead(identity)) continue
    identities.set(number, identity)
    numbers.set(identity.session, number)
  }

  function sessionOf(hello: Hello): number {
    const existing = numbers.get(hello.session)
    if (existing !== undefined) return existing
    const number = ++last
    const { session, pid, startTime, pidNamespace } = hello
    const { bootId, machineId } = thisProcess()
    const identity = { session, pid, startTime, pidNamespace, bootId, machineId }
    identities.set(number, identity)
    numbers.set(session, number)
    journal.session(number, identity)
    return number
  }
  /** In place of the one so far; complete, so nothing is missing after a time without one. */
  function begin(): void {
    const grants = new Map<number, { grant: number; session: number }>()
    for (const { sequence, grants: grant, session } of options.handedOut().values()) {
      grants.set(sequence, { grant, session })
    }
    const finished = [...queues.values()].flatMap((queue) =>
      [...queue.finished.entries()].map(([key, at]) => ({ queue: queue.number, key, at })),
    )
    journal.close()
    journal = NO_JOURNAL
    journal = createJournal(options.file, { grants, sessions: identities, finished })
  }
  /** Without it hand-overs are counted a little too low after the next takeover; nothing is lost. */
  function whileRecording(record: () => void): void {
    try {
      record()
      if (isJournalFailing) options.log('warn', 'EMBEDDED_JOURNAL', 'hand-overs are recorded again')
      isJournalFailing = false
    } catch (error) {
      if (!isJournalFailing)
        options.log('warn', 'EMBEDDED_JOURNAL', `hand-overs cannot be recorded: ${messageOf(error)}`)
      isJournalFailing = true
    }
  }
  function endGraceOf(session: number, giveBack: (entry: Entry) => void): void {
    for (const entry of grace.get(session) ?? []) if (entry.state === 'grace') giveBack(entry)
    grace.delete(session)
  }
  function isAlive(session: number): boolean {
    const identity = identities.get(session)
    return identity !== undefined && isProvablyAlive(identity)
  }
  /** Up to two other processes keep a thread ready to take over. */
  function pickStandby(connection: HubConnection): void {
    for (const standby of standbys) if (standby.isClosed) standbys.delete(standby)
    const taken = new Set([process.pid, ...[...standbys].map((standby) => standby.hello?.pid)])
    if (connection.isClosed || standbys.size >= MAX_STANDBYS || taken.has(connection.hello?.pid)) return
    standbys.add(connection)
    connection.writer.begin(OP.STAND_BY).end()
    connection.flush()
  }

  return {
    hello(connection, json, connections) {
      const hello = parseHello(json)
      connection.hello = hello
      for (const other of connections) {
        if (other !== connection && other.hello?.session === hello.session) other.destroy()
      }
      connection.session = sessionOf(hello)
      if (hello.canHost) setTimeout(() => pickStandby(connection), STANDBY_AFTER_MS)
    },
    mayReturn: (session) => identities.has(session),
    keepForReturn(entry) {
      entry.state = 'grace'
      entry.queue.activeCount++
      const entries = grace.get(entry.session) ?? new Set()
      grace.set(entry.session, entries.add(entry))
    },
    resumed: endGraceOf,
    endGrace(giveBack) {
      for (const session of grace.keys()) if (!isAlive(session)) endGraceOf(session, giveBack)
      return grace.size === 0
    },
    endAllGrace(giveBack) {
      for (const session of grace.keys()) endGraceOf(session, giveBack)
    },
    begin(known) {
      queues = known
      whileRecording(begin)
    },
    journal: () => journal,
    flush() {
      if (isJournalFailing && !options.hasRoom()) return
      whileRecording(() => {
        if (isJournalFailing) return begin()
        journal.flush()
        if (journal.size >= MAX_JOURNAL_BYTES) begin()
      })
    },
    close: () => journal.close(),
  }
}
