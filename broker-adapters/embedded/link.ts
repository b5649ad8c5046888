import { existsSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerError, CallError, messageOf } from '../../protocol/errors.ts'
import type { LogLevel } from '../adapter.ts'
import { checkRecord, prepareDirectory, refusal } from './directory.ts'
import { codeOf, FORMAT, hubFile, isIntentDead, latestEpoch, readHub, takeIntent, type HubRecord } from './election.ts'
import { passFaultPoint } from './fault-points.ts'
import { createHubHost } from './hub-host.ts'
import { thisProcess } from './machine.ts'
import type { ResolvedEmbeddedOptions } from './options.ts'
import { openSocketPath } from './socket-path.ts'
import { createFrameParser } from './frame-parser.ts'
import { createFrameWriter, OP, type FrameReader, type FrameWriter, type Hello, type Welcome } from './wire.ts'

/** What waits for an answer of the hub. Exactly one of the two is called, once. */
export interface Pending {
  readonly onAnswer: (fields: FrameReader) => void
  readonly onLost: () => void
}

/** The connection of this process to whichever process is the hub; finds or becomes it, again and again. */
export interface Link {
  /** Resolves at the first connection; rejects what dialling again cannot mend. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Welcomed by a hub; frames can be sent. */
  readonly isConnected: boolean
  /** Registers what waits and returns its number; only while connected. */
  expect(pending: Pending): number
  readonly writer: FrameWriter
  /** Sends what was written, at the end of this turn. */
  flushSoon(): void
  /** The same for what nobody waits for: one turn later, so that it leaves together with what is written until then. */
  flushLater(): void
}

export interface LinkOptions {
  readonly options: ResolvedEmbeddedOptions
  readonly session: string
  readonly log: (level: LogLevel, code: string, message: string) => void
  readonly onFrame: (op: number, fields: FrameReader) => void
  /** Connected to a hub: put everything in place again. The link is up when it resolves. */
  readonly onConnected: () => Promise<void>
  readonly onUp: () => void
  /** The connection is gone, up or not; before what waits for answers hears of it. */
  readonly onDisconnected: () => void
  readonly onDown: (why: string) => void
  readonly onRefused: (why: string) => void
  /** Just before a flush: the last chance to write what was collected. */
  readonly beforeFlush: () => void
}

/** closed: there was a connection · refused: nobody listens · silent: somebody does, and says nothing. */
type Ending = 'closed' | 'refused' | 'silent'

const INTENT_MS = 1_000
const POLL_MS = 4
const MAX_POLL_MS = 50
const MAX_BACKOFF_MS = 1_000
const REFUSED_RETRY_MS = 1_000
const BYE_MS = 1_000
const TICKS = 4
const KEEP_ALIVE_MS = 0x7fff_ffff

export function createLink(given: LinkOptions): Link {
  const { options, log } = given
  const { dir } = options
  const host = createHubHost(options, log)
  const stopping = new AbortController()
  const pending = new Map<number, Pending>()
  let writer = createFrameWriter()
  let socket: Socket | undefined
  let isConnected = false
  let isFlushDue = false
  /** It is due in the next turn. */
  let isFlushNear = false
  let seq = 0
  let running: Promise<void> | undefined
  let keepAlive: NodeJS.Timeout | undefined
  let endStart: () => void = () => undefined

  function flush(): void {
    isFlushDue = false
    if (socket === undefined) return
    if (isConnected) given.beforeFlush()
    for (const piece of writer.take()) socket.write(piece)
  }
  function flushSoon(): void {
    if (isFlushDue) return
    isFlushDue = true
    setImmediate(flush)
  }
  function flushLater(): void {
    if (isFlushDue || isFlushNear) return
    isFlushNear = true
    setImmediate(() => {
      isFlushNear = false
      flushSoon()
    })
  }
  function pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: stopping.signal }).catch(() => undefined)
  }

  async function run(started: { resolve: () => void; reject: (error: unknown) => void }): Promise<void> {
    let backoffMs = 10
    while (!stopping.signal.aborted) {
      try {
        await dial(() => {
          backoffMs = 10
          started.resolve()
        })
      } catch (error) {
        if (error instanceof BrokerError && error.code === 'BROKER_REFUSED') {
          started.reject(error)
          given.onRefused(error.message)
          await pause(REFUSED_RETRY_MS)
          continue
        }
        // What ends because this process closes is no news.
        log(stopping.signal.aborted ? 'debug' : 'warn', 'EMBEDDED_DIAL', messageOf(error))
        await pause(backoffMs)
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)
      }
    }
  }

  /** One connection from beginning to end, and the election after it, or before it if there is no hub. */
  async function dial(onUp: () => void): Promise<void> {
    prepareDirectory(dir)
    const epoch = latestEpoch(dir)
    const record = readHub(dir, epoch)
    if (record !== undefined) checkRecord(record, dir)
    const ending = record === undefined ? 'refused' : await talk(record, onUp)
    // A hub that closed the connection may live on: then it takes the next one.
    if (ending === 'closed') return
    if (stopping.signal.aborted || latestEpoch(dir) > epoch) return
    await succeed(epoch + 1, ending)
  }

  async function succeed(epoch: number, ending: Ending): Promise<void> {
    if (options.host === 'never') return waitForHub(epoch)
    if (!takeIntent(dir, epoch)) {
      await waitForHub(epoch)
      if (stopping.signal.aborted || existsSync(hubFile(dir, epoch))) return
    }
    passFaultPoint('intent taken')
    if (!stopping.signal.aborted) await host.contend(epoch, ending === 'refused')
  }
  /** Bounded, because its contender may be frozen; not to the same moment in all who wait. */
  async function waitForHub(epoch: number): Promise<void> {
    const begun = Date.now()
    const limitMs = INTENT_MS * (1 + Math.random())
    for (let waitedMs = 0; waitedMs < limitMs && !stopping.signal.aborted; waitedMs = Date.now() - begun) {
      if (existsSync(hubFile(dir, epoch)) || isIntentDead(dir, epoch)) return
      // The longer it takes, the rarer: many who look often would take the processor from the one they wait for.
      await pause(Math.min(Math.max(POLL_MS, waitedMs / 8), MAX_POLL_MS))
    }
  }

  async function talk(record: HubRecord, onUp: () => void): Promise<Ending> {
    const path = openSocketPath(dir, record.socket)
    try {
      const opened = await openSocket(path.path, options.silenceMs, stopping.signal)
      if (typeof opened === 'string') return opened
      if (!stopping.signal.aborted) return await converse(opened, onUp)
      // Stopped while it was being opened.
      opened.destroy()
      return 'closed'
    } finally {
      path.release()
    }
  }

  /** Resolves when the connection is over, with how it ended. */
  function converse(opened: Socket, onUp: () => void): Promise<Ending> {
    socket = opened
    writer = createFrameWriter()
    return new Promise((resolve, reject) => {
      let ending: Ending = 'closed'
      let refused: BrokerError | undefined
      let wasUp = false
      let isWelcome = false
      // Ticks, not time: after a freeze of this process one has passed, and what came meanwhile is read before the next.
      let silentTicks = 0
      const ticking = setInterval(() => {
        silentTicks++
        if (silentTicks > TICKS) {
          ending = 'silent'
          opened.destroy()
        } else {
          writer.begin(OP.PING).end()
          flushSoon()
        }
      }, options.silenceMs / TICKS)

      function onWelcome(fields: FrameReader): void {
        isWelcome = true
        const welcome = JSON.parse(fields.str()) as Welcome // from a hub of the same format, see checkRecord
        log('debug', 'EMBEDDED_HUB', `connected to hub ${welcome.epoch}`)
        if (welcome.durability === 'process' && options.durability === 'disk') {
          refused = refusal(`${dir} is kept by a process that opened it with durability 'process'; say the same in all`)
          opened.destroy()
          return
        }
        isConnected = true
        given.onConnected().then(
          () => {
            if (!isConnected || socket !== opened) return
            wasUp = true
            given.onUp()
            onUp()
          },
          // The connection went meanwhile; the next one puts everything in place.
          (error: unknown) => log('debug', 'EMBEDDED_DIAL', messageOf(error)),
        )
      }
      const parse = createFrameParser((op, fields) => {
        if (op === OP.ANSWER) settleAnswer(fields)
        else if (op === OP.PING) {
          writer.begin(OP.PONG).end()
          flushSoon()
        } else if (op === OP.WELCOME) onWelcome(fields)
        else if (op === OP.STAND_BY) host.standBy()
        else if (op !== OP.PONG) given.onFrame(op, fields)
      })
      opened.on('data', (chunk: Buffer) => {
        silentTicks = 0
        try {
          parse(chunk)
        } catch (error) {
          log('error', 'EMBEDDED_WIRE', `what the hub sent is no frame: ${messageOf(error)}`)
          opened.destroy()
        }
      })
      opened.on('error', (error) => log('debug', 'EMBEDDED_DIAL', error.message))
      opened.on('close', () => {
        clearInterval(ticking)
        isConnected = false
        socket = undefined
        given.onDisconnected()
        for (const waiting of takeAll(pending)) waiting.onLost()
        if (wasUp)
          given.onDown(ending === 'silent' ? `the hub said nothing for ${options.silenceMs} ms` : 'the hub is gone')
        if (refused !== undefined) reject(refused)
        else if (isWelcome) resolve(ending)
        // It is about to become the hub, or to be none any more: not again at once.
        else void pause(POLL_MS).then(() => resolve(ending))
      })
      isConnected = true
      writer
        .begin(OP.HELLO)
        .str(JSON.stringify(helloOf(given)))
        .end()
      flushSoon()
    })
  }
  function settleAnswer(fields: FrameReader): void {
    const number = fields.u32()
    const waiting = pending.get(number)
    pending.delete(number)
    waiting?.onAnswer(fields)
  }
  function expect(waiting: Pending): number {
    seq = (seq + 1) >>> 0
    pending.set(seq, waiting)
    return seq
  }
  /** What was sent before is stored when the hub answers; bounded, because the hub may be gone. */
  async function sayBye(): Promise<void> {
    if (!isConnected) return
    // First what was collected: after the farewell nothing counts.
    flush()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, BYE_MS)
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      writer
        .begin(OP.BYE)
        .u32(expect({ onAnswer: done, onLost: done }))
        .end()
      flush()
    })
  }

  return {
    start() {
      return new Promise((resolve, reject) => {
        // The hub's thread is not what keeps a process alive; an open broker is.
        keepAlive ??= setInterval(() => undefined, KEEP_ALIVE_MS)
        endStart = () => reject(new CallError('CLOSED', 'the broker was closed'))
        running ??= run({ resolve, reject })
      })
    },
    async stop() {
      await sayBye()
      stopping.abort()
      endStart()
      socket?.destroy()
      await Promise.all([running, host.stop()])
      clearInterval(keepAlive)
    },
    get isConnected() {
      return isConnected
    },
    expect,
    get writer() {
      return writer
    },
    flushSoon,
    flushLater,
  }
}

function helloOf(given: LinkOptions): Hello {
  const { pid, startTime, pidNamespace } = thisProcess()
  return {
    format: FORMAT,
    session: given.session,
    pid,
    startTime,
    pidNamespace,
    canHost: given.options.host === 'auto',
  }
}

/** A hub that is alive but cannot take the connection is tried until it counts as silent. */
async function openSocket(path: string, silenceMs: number, signal: AbortSignal): Promise<Socket | Ending> {
  for (const until = Date.now() + silenceMs; Date.now() < until && !signal.aborted;) {
    const opened = await new Promise<Socket | string>((resolve) => {
      const socket = connect(path)
      socket.once('connect', () => {
        socket.removeAllListeners('error')
        resolve(socket)
      })
      socket.once('error', (error) => resolve(codeOf(error) ?? ''))
    })
    if (typeof opened !== 'string') return opened
    // EAGAIN: its backlog is full.
    if (opened !== 'EAGAIN') return 'refused'
    await sleep(10)
  }
  return 'silent'
}

function takeAll(pending: Map<number, Pending>): Pending[] {
  const all = [...pending.values()]
  pending.clear()
  return all
}
