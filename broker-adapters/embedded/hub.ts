import type { Socket } from 'node:net'
import { createGroupCommit } from './group-commit.ts'
import { createHubConnection, type HubConnection } from './hub-connection.ts'
import { passFaultPoint } from './fault-points.ts'
import { createHubInboxes } from './hub-inboxes.ts'
import { createHubLetters } from './hub-letters.ts'
import { createHubMailboxes } from './hub-mailboxes.ts'
import { createHubMessages } from './hub-messages.ts'
import { createHubRequests, type HubRequests } from './hub-requests.ts'
import { loadHub } from './hub-load.ts'
import { createHubSessions } from './hub-sessions.ts'
import { createTopics } from './hub-topics.ts'
import { MIN_FREE_BYTES, type DiskSpace } from './disk-space.ts'
import type { JournalContents } from './journal.ts'
import type { Store } from './store.ts'
import { OP, type FrameReader, type Welcome } from './wire.ts'

/** The broker of one directory, while it is the elected one. */
export interface Hub {
  accept(socket: Socket): void
  /** Stores what is under way, ends all connections; the store stays open. */
  stop(): Promise<void>
}

export interface HubOptions {
  readonly store: Store
  readonly welcome: Welcome
  readonly journalFile: string
  readonly journal: JournalContents
  readonly maxBytes: number
  readonly peerSilenceMs: number
  readonly resumeMs: number
  readonly isSuperseded: () => boolean
  /** It is to stop although it is not there yet. */
  readonly isClosing: () => boolean
  readonly disk: DiskSpace
  readonly log: (level: 'error' | 'warn' | 'info' | 'debug', code: string, message: string) => void
  /** It is over: somebody else is the hub, or the disk failed. Nothing is confirmed any more. */
  readonly onDown: (why: string) => void
}

const TICK_MS = 25
const SWEEP_MS = 1_000

/** Resolves when all that is stored is known again. */
export async function createHub(options: HubOptions): Promise<Hub> {
  const { store } = options
  const connections = new Set<HubConnection>()
  const written = new Set<HubConnection>()
  let sequence = 0
  let isDown = false
  let isStopping = false
  let turnDue: NodeJS.Immediate | undefined
  let dueTimer: NodeJS.Timeout | undefined

  const nextSequence = (): number => ++sequence
  const now = (): number => Date.now()
  const markWritten = (connection: HubConnection): void => {
    written.add(connection)
    scheduleTurn()
  }
  const commit = createGroupCommit({
    store,
    disk: options.disk,
    mayConfirm: () => !isDown && !options.isSuperseded(),
    onCommitted: () => turn(true),
    onFailed: goDown,
  })
  const sessions = createHubSessions({
    file: options.journalFile,
    contents: options.journal,
    handedOut: () => messages.handedOut,
    hasRoom: () => options.disk.leftAfter(0) >= MIN_FREE_BYTES,
    log: options.log,
  })
  const messages = createHubMessages({ store, commit, journal: sessions.journal, nextSequence, now, markWritten })
  const letters = createHubLetters({ store, commit, nextSequence, now, messages })
  const inboxes = createHubInboxes({ store, commit, nextSequence, now, messages, markWritten })
  const mailboxes = createHubMailboxes({ store, commit, nextSequence, now, messages, markWritten })
  const topics = createTopics(markWritten)
  const requests: HubRequests = createHubRequests({
    ...options,
    commit,
    messages,
    letters,
    inboxes,
    mailboxes,
    topics,
    now,
    markWritten,
  })

  const { journal, isClosing } = options
  sequence = await loadHub({ store, messages, letters, inboxes, mailboxes, sessions, journal, isClosing })
  passFaultPoint('store loaded')
  sessions.begin(messages.queues)
  let graceTimer = setTimeout(endGrace, options.resumeMs)
  const patienceTimer = setTimeout(() => {
    sessions.endAllGrace(messages.giveBack)
    scheduleTurn()
  }, options.peerSilenceMs)
  let sweptAt = 0
  const ticking = setInterval(() => {
    const at = now()
    inboxes.tick(at)
    if (at - sweptAt >= SWEEP_MS) {
      sweptAt = at
      messages.dropExpired(at)
      mailboxes.dropExpired(at)
    }
    turn()
  }, TICK_MS)
  turn()

  /** A process that lives comes back, however busy its machine is; only silence ends its leases, as it does at any hub. */
  function endGrace(): void {
    if (!sessions.endGrace(messages.giveBack)) graceTimer = setTimeout(endGrace, Math.max(options.resumeMs, TICK_MS))
    scheduleTurn()
  }
  function scheduleTurn(): void {
    turnDue ??= setImmediate(turn)
  }
  /** The end of each turn: hand out, record that, send, store. In this order, and all in few large pieces. `isLookedUp`: it has just looked for a successor. */
  function turn(isLookedUp = false): void {
    if (isDown) return
    armDueTimer(messages.releaseDue(now()))
    if (messages.hasDirty()) {
      // A hub that was frozen must not hand out what its successor hands out as well.
      if (!isLookedUp && options.isSuperseded()) return goDown('another process has become the hub')
      messages.handOut()
    }
    sessions.flush()
    if (written.size > 0) passFaultPoint('journal flushed')
    for (const connection of written) connection.flush()
    if (isLookedUp && written.size > 0) passFaultPoint('confirm sent')
    written.clear()
    commit.pump()
    // Nothing is left for the one that its own writes, or the effects of the commit before it, have asked for.
    clearImmediate(turnDue)
    turnDue = undefined
  }
  function armDueTimer(dueAt: number | undefined): void {
    clearTimeout(dueTimer)
    if (dueAt !== undefined) dueTimer = setTimeout(turn, Math.min(Math.max(dueAt - now(), 1), 0x7fff_ffff))
  }
  function goDown(why: string): void {
    if (isDown) return
    end()
    for (const connection of connections) connection.destroy()
    options.onDown(why)
  }
  function end(): void {
    isDown = true
    commit.stop()
    clearInterval(ticking)
    clearTimeout(dueTimer)
    clearTimeout(graceTimer)
    clearTimeout(patienceTimer)
    sessions.close()
  }

  function onFrame(connection: HubConnection, op: number, fields: FrameReader): void {
    // What comes while it hands over has no answer, so its sender does not know; the next hub tells.
    if (isDown || isStopping) return
    if (op === OP.HELLO) {
      sessions.hello(connection, fields.str(), connections)
      connection.writer.begin(OP.WELCOME).str(JSON.stringify(options.welcome)).end()
      markWritten(connection)
    } else if (op === OP.RESUMED) sessions.resumed(connection.session, messages.giveBack)
    else requests.handle(connection, op, fields)
    scheduleTurn()
  }
  function onClosed(connection: HubConnection): void {
    connections.delete(connection)
    written.delete(connection)
    if (isDown) return
    requests.drop(connection)
    scheduleTurn()
  }

  return {
    accept(socket) {
      connections.add(
        createHubConnection(socket, { peerSilenceMs: options.peerSilenceMs, log: options.log, onFrame, onClosed }),
      )
    },
    async stop() {
      if (isDown) return
      isStopping = true
      await commit.drain()
      if (isDown) return
      turn()
      end()
      for (const connection of connections) connection.end()
    },
  }
}
