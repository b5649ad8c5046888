import type { Socket } from 'node:net'
import type { Entry, HubSubscription } from './hub-queue.ts'
import type { HubInbox } from './hub-inboxes.ts'
import { createFrameParser } from './frame-parser.ts'
import { createFrameWriter, MAX_FRAME_BYTES, OP, type FrameReader, type FrameWriter, type Hello } from './wire.ts'

/** What the hub knows of one connected process. */
export interface HubConnection {
  readonly writer: FrameWriter
  /** Set by HELLO. */
  hello: Hello | undefined
  session: number
  /** What it holds, and the same by id, for the replies that settle. */
  readonly held: Set<Entry>
  readonly heldById: Map<string, Entry>
  /** Settled by their replies; they count as held until the process has said so itself. */
  readonly answered: Map<number, HubSubscription>
  readonly subscriptions: Map<number, HubSubscription>
  readonly inboxes: Set<HubInbox>
  readonly topics: Set<string>
  readonly isClosed: boolean
  /** Sends what was written since the last time. */
  flush(): void
  /** Ends it after what was written is sent. */
  end(): void
  /** Ends it at once. */
  destroy(): void
}

/** A process that does not read is given up before it fills the hub's memory. */
const MAX_UNSENT_BYTES = 256 * 1024 * 1024
const TICKS = 4
/** Until it has said who it is. */
const MAX_HELLO_BYTES = 64 * 1024

export interface HubConnectionOptions {
  readonly peerSilenceMs: number
  readonly onFrame: (connection: HubConnection, op: number, fields: FrameReader) => void
  readonly onClosed: (connection: HubConnection) => void
  readonly log: (level: 'warn' | 'debug', code: string, message: string) => void
}

export function createHubConnection(socket: Socket, options: HubConnectionOptions): HubConnection {
  const writer = createFrameWriter()
  let isClosed = false
  /** Ticks without a byte. Not a time: after a freeze of the hub one tick has passed, not all of them. */
  let silentTicks = 0
  const ticking = setInterval(tick, options.peerSilenceMs / TICKS)

  const connection: HubConnection = {
    writer,
    hello: undefined,
    session: 0,
    held: new Set(),
    heldById: new Map(),
    answered: new Map(),
    subscriptions: new Map(),
    inboxes: new Set(),
    topics: new Set(),
    get isClosed() {
      return isClosed
    },
    flush() {
      if (writer.pendingBytes === 0) return
      const pieces = writer.take()
      if (isClosed) return
      for (const piece of pieces) socket.write(piece)
      if (socket.writableLength > MAX_UNSENT_BYTES) giveUp('does not read what it is sent')
    },
    end() {
      connection.flush()
      socket.end()
    },
    destroy() {
      socket.destroy()
    },
  }
  const parse = createFrameParser((op, fields) => {
    if (op === OP.PING) {
      writer.begin(OP.PONG).end()
      connection.flush() // nothing else may be on its way: an idle hub must not look silent
    } else if (op !== OP.PONG) {
      if ((op === OP.HELLO) !== (connection.hello === undefined)) throw new RangeError(`op ${op} out of turn`)
      options.onFrame(connection, op, fields)
    }
  }, maxFrameBytes)

  function maxFrameBytes(): number {
    return connection.hello === undefined ? MAX_HELLO_BYTES : MAX_FRAME_BYTES
  }
  function tick(): void {
    silentTicks++
    if (silentTicks > TICKS) giveUp(`said nothing for ${options.peerSilenceMs} ms`)
    writer.begin(OP.PING).end()
    connection.flush()
  }
  function giveUp(why: string): void {
    options.log('warn', 'EMBEDDED_PEER', `process ${connection.hello?.pid ?? '?'} ${why}; its deliveries go to others`)
    socket.destroy()
  }
  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => {
    silentTicks = 0
    if (isClosed) return
    try {
      parse(chunk)
    } catch (error) {
      // A frame that does not hold its fields, or no JSON where there should be: the peer's defect, not the hub's.
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error
      giveUp(`sent what is no frame (${error.message})`)
    }
  })
  // A socket's error is followed by 'close', which says all that matters here.
  socket.on('error', (error) => options.log('debug', 'EMBEDDED_PEER', error.message))
  socket.on('close', () => {
    clearInterval(ticking)
    isClosed = true
    options.onClosed(connection)
  })
  return connection
}
