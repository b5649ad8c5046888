// The thread that keeps the queues: started by hub-host.ts, elected when told to contend.
import { existsSync, rmSync, chmodSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { messageOf, ReplytoError } from '../../protocol/errors.ts'
import {
  becomeHub,
  cleanUp,
  fateOf,
  findJournal,
  findStore,
  FORMAT,
  isSuperseded,
  journalFile,
  markReleased,
  readHub,
  releasedFile,
  touchHub,
  type Fate,
  type HubRecord,
} from './election.ts'
import { checkRecord, refusal } from './directory.ts'
import { createDiskSpace } from './disk-space.ts'
import { createExitGate } from './exit-gate.ts'
import { passFaultPoint } from './fault-points.ts'
import { createHub, type Hub } from './hub.ts'
import type { FromThread, HubThreadData, ToThread } from './hub-host.ts'
import { readJournal } from './journal.ts'
import { removeLeftovers } from './leftovers.ts'
import { thisProcess } from './machine.ts'
import { openSocketPath } from './socket-path.ts'
import { findProblem, lookAtStore, setAside } from './store-check.ts'
import { loadLmdb, openStore, snapshotStore, type Store } from './store.ts'
import { createFrameWriter, OP } from './wire.ts'

const TOUCH_MS = 2_000
/** Less than the shortest silence that can be asked for. */
const LIFE_MS = 50
const LEFTOVERS_MS = 60_000
/** A process whose socket has just closed may take this long to be seen as gone. */
const DYING_MS = 200

type Log = (level: 'error' | 'warn' | 'info' | 'debug', code: string, message: string) => void

/** What the winner does with the store of the hub before. */
interface Inheritance {
  readonly fate: Fate | undefined
  readonly store: string
  readonly from: string
  readonly problem: string | undefined
}

async function runHubThread(port: MessagePort, data: HubThreadData): Promise<void> {
  const { dir } = data
  const gate = createExitGate(data.gate)
  const waiting = new Set<Socket>()
  const disk = createDiskSpace(dir, () => store?.reusableBytes() ?? 0)
  let hub: Hub | undefined
  let store: Store | undefined
  let epoch = 0
  let isEnding = false
  let contending: Promise<boolean> = Promise.resolve(false)

  const say = (message: FromThread): void => port.postMessage(message)
  const log: Log = (level, code, message) => say({ type: 'log', level, code, message })

  const name = `s-${process.pid}-${Math.random().toString(36).slice(2, 10)}.sock`
  const socketPath = openSocketPath(dir, name)
  const server = createServer((socket) => {
    if (hub === undefined) keepWaiting(socket)
    else hub.accept(socket)
  })
  const lmdb = await loadLmdb()
  passFaultPoint('before listen')
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath.path, () => resolve())
  })
  chmodSync(join(dir, name), 0o600)
  passFaultPoint('after listen')

  async function contend(wanted: number, wasClosed: boolean): Promise<boolean> {
    passFaultPoint('stand-by promoted')
    const inheritance = await inherit({ dir, log }, wanted, wasClosed)
    const { durability } = data
    const record: HubRecord = {
      ...thisProcess(),
      format: FORMAT,
      socket: name,
      store: inheritance.store,
      from: inheritance.from,
      durability,
    }
    if (isEnding || !gate.enter()) return false
    try {
      if (disk.isFull()) disk.release('takeover')
      if (!becomeHub(dir, wanted, record)) return false
      passFaultPoint('after link')
      epoch = wanted
      say({ type: 'claimed', epoch })
      showLife()
      store = await open(record, inheritance)
    } finally {
      gate.leave()
    }
    await load(store, record)
    return true
  }
  async function open(record: HubRecord, { fate, problem }: Inheritance): Promise<Store> {
    const path = join(dir, record.store)
    if (problem !== undefined && record.from !== '') {
      log('error', 'EMBEDDED_DAMAGED', `the store is damaged: ${problem}; it is kept as ${setAside(dir, record.from)}`)
    } else if (record.from !== '' && !existsSync(path)) {
      log('warn', 'EMBEDDED_TAKEOVER', `hub ${epoch - 1} is ${fate ?? 'away'}: continuing from a snapshot of its store`)
      await snapshotStore(lmdb, join(dir, record.from), path)
    }
    const opened = openStore(lmdb, { path, epoch, durability: data.durability, gate })
    passFaultPoint('store claimed')
    return opened
  }
  async function load(store: Store, record: HubRecord): Promise<void> {
    hub = await createHub({
      store,
      welcome: { epoch, durability: data.durability },
      journalFile: journalFile(dir, epoch),
      journal: readJournal(findJournal(dir, epoch - 1)),
      maxBytes: data.maxBytes,
      peerSilenceMs: data.peerSilenceMs,
      resumeMs: data.resumeMs,
      isSuperseded: () => isSuperseded(dir, epoch),
      isClosing: () => isEnding,
      disk,
      log,
      onDown: (why) => {
        log('info', 'EMBEDDED_HUB', `hub ${epoch} steps down: ${why}`)
        void end()
      },
    })
    for (const socket of waiting) hub.accept(socket)
    waiting.clear()
    cleanUp(dir, epoch, record)
    keepHouse()
  }
  /** Who comes before the hub is one, and may go again before it is. */
  function keepWaiting(socket: Socket): void {
    waiting.add(socket)
    socket.on('error', (error) => log('debug', 'EMBEDDED_PEER', error.message))
    socket.on('close', () => waiting.delete(socket))
  }
  function whileHub(run: () => void): void {
    if (!isEnding && !isSuperseded(dir, epoch)) run()
  }
  /** From the link on: opening a large store takes longer than others wait for a word of the hub. */
  function showLife(): void {
    const writer = createFrameWriter()
    writer.begin(OP.PING).end()
    const pings = writer.take()
    setInterval(() => {
      for (const socket of waiting) for (const ping of pings) socket.write(ping)
    }, LIFE_MS)
    setInterval(() => whileHub(() => touchHub(dir, epoch)), TOUCH_MS)
  }
  function keepHouse(): void {
    disk.reserve()
    setInterval(() => whileHub(disk.reserve), TOUCH_MS)
    const sweep = (): void => {
      removeLeftovers(dir, epoch).catch((error: unknown) => log('debug', 'EMBEDDED_HUB', messageOf(error)))
    }
    sweep()
    setInterval(() => whileHub(sweep), LEFTOVERS_MS)
  }
  /** In order: confirm what is stored, close the store, say so, go. */
  async function end(): Promise<void> {
    if (isEnding) return
    isEnding = true
    passFaultPoint('close begun')
    // It fails, or its store is open: both end here.
    await contending.catch(() => undefined)
    await hub?.stop()
    server.close()
    for (const socket of waiting) socket.destroy()
    await store?.close()
    passFaultPoint('store closed')
    if (epoch > 0) markReleased(dir, epoch)
    passFaultPoint('release marked')
    rmSync(join(dir, name), { force: true })
    socketPath.release()
    say({ type: 'ended' })
    process.exit()
  }

  port.on('message', (message: ToThread) => {
    if (message.type === 'stop') void end()
    else {
      contending = contend(message.epoch, message.wasClosed)
      contending.then(
        (isWon) => say({ type: isWon ? 'won' : 'lost' }),
        (error: unknown) => {
          say({ type: 'failed', isRefusal: isRefusal(error), text: messageOf(error) })
          void end()
        },
      )
    }
  })
  say({ type: 'ready' })
}

async function inherit(
  { dir, log }: { readonly dir: string; readonly log: Log },
  epoch: number,
  wasClosed: boolean,
): Promise<Inheritance> {
  const last = epoch - 1
  const fresh = `store-${epoch}`
  const record = readHub(dir, last)
  if (record !== undefined) checkRecord(record, dir)
  if (last === 0) return { fate: undefined, store: findStore(dir, 0) ?? fresh, from: '', problem: undefined }
  let fate = fateOf(dir, last, record)
  for (const until = Date.now() + DYING_MS; wasClosed && fate === 'silent' && Date.now() < until;) {
    await sleep(2)
    fate = fateOf(dir, last, record)
  }
  if (fate === 'elsewhere') throw refusal(`${dir} is open on another machine`)
  const store = findStore(dir, last)
  if (store === undefined) return { fate, store: fresh, from: '', problem: undefined }
  const path = join(dir, store)
  const look = lookAtStore(path)
  const isDoubtful = look.isShort || wentDownWithMachine(dir, last, record)
  const problem = look.problem ?? (isDoubtful ? await findProblem(path, log) : undefined)
  if (problem !== undefined || fate === 'silent' || fate === 'abandoned')
    return { fate, store: fresh, from: store, problem }
  return { fate, store, from: '', problem }
}

/** The store was in use when the machine stopped: with durability 'process', or a disk that lies, it may be torn. */
function wentDownWithMachine(dir: string, epoch: number, record: HubRecord | undefined): boolean {
  return record !== undefined && record.bootId !== thisProcess().bootId && !existsSync(releasedFile(dir, epoch))
}

function isRefusal(error: unknown): boolean {
  return error instanceof ReplytoError && error.code === 'BROKER_REFUSED'
}

if (parentPort !== null) {
  const port = parentPort
  runHubThread(port, workerData as HubThreadData).catch((error: unknown) => {
    // made by hub-host.ts
    port.postMessage({ type: 'failed', isRefusal: isRefusal(error), text: messageOf(error) } satisfies FromThread)
    process.exit()
  })
}
