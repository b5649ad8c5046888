import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Inbox } from '../adapter.ts'
import type { Standing, StandingSet } from '../standing.ts'
import type { Session } from './dial.ts'
import { shortOf, throughSeam } from './failures.ts'
import { readReply } from './reply-data.ts'

export interface InboxParts {
  readonly session: () => Session
  readonly standings: StandingSet
  readonly log: AdapterContext['log']
  readonly guard: (what: string, run: () => void) => void
  readonly url: string
}

export interface InboxOptions {
  readonly address: string
  readonly leaseMs: number
  readonly onRecreated: () => void
  readonly onReply: (reply: Reply, done: () => void) => void
}

const AT_ONCE = 1_000
const BLOCK_MS = 5_000
/** An inbox that was deleted is found so soon: what is answered meanwhile waits for it, see replying.ts. */
const LOOK_MS = 1_000

type Entry = readonly [id: Buffer, fields: readonly Buffer[]]

/** A stream that outlives its connection by the lease. Resolves when it can be replied to. */
export async function openInbox(parts: InboxParts, options: InboxOptions): Promise<Inbox> {
  const { session, standings, log, guard, url } = parts
  const { address, leaseMs, onRecreated, onReply } = options
  /** Handed over and still in the stream. */
  const handed = new Set<string>()
  /** Taken, to be removed together. */
  let taken: string[] = []
  let isRemoving = false
  let wasOpen = false
  let isClosed = false
  let renewing: NodeJS.Timeout | undefined
  let current: Awaited<ReturnType<Session['open']>> | undefined

  const standing: Standing = {
    establish: () =>
      throughSeam(url, async () => {
        const now = session()
        await keepAlive(now)
        const blocking = await now.open('replies')
        current = blocking
        if (isClosed) return now.close(blocking)
        const last = await readWhatIsThere(now)
        renewing ??= setInterval(renew, Math.min(LOOK_MS, leaseMs / 3)).unref()
        void readOn(now, blocking, last)
      }),
  }

  /** Makes it if it is not there. */
  async function keepAlive(now: Session): Promise<void> {
    const isNew = (await now.scripts.run('inbox', address, Math.ceil(leaseMs))) === 1
    if (isNew && wasOpen) guard('onRecreated', onRecreated)
    wasOpen = true
  }

  function renew(): void {
    try {
      keepAlive(session()).catch(() => {})
    } catch {
      // Away: its lease goes on until it is back.
    }
  }

  /** The id of the last one. */
  async function readWhatIsThere(now: Session): Promise<string> {
    let last = '0-0'
    for (;;) {
      const entries = (await now.commands.xrangeBuffer(
        address,
        `(${last}`,
        '+',
        'COUNT',
        AT_ONCE,
      )) as unknown as Entry[] // pairs of id and fields
      for (const entry of entries) last = take(entry)
      if (entries.length < AT_ONCE) return last
    }
  }

  async function readOn(now: Session, blocking: Awaited<ReturnType<Session['open']>>, from: string): Promise<void> {
    let last = from
    const isOver = (): boolean => isClosed || !now.isOpen
    while (!isOver()) {
      try {
        const found = await blocking.xreadBuffer('COUNT', AT_ONCE, 'BLOCK', BLOCK_MS, 'STREAMS', address, last)
        const [stream] = (found ?? []) as unknown as readonly (readonly [Buffer, readonly Entry[]])[] // of one stream
        for (const entry of stream?.[1] ?? []) last = take(entry)
      } catch (error) {
        if (!isOver()) now.fail(`reading replies failed: ${shortOf(error)}`)
      }
    }
    now.close(blocking)
  }

  function take([idBytes, fields]: Entry): string {
    const id = idBytes.toString()
    if (handed.has(id)) return id
    const reply = readReply(fieldOf(fields, 'meta'), fieldOf(fields, 'body'))
    if (reply === undefined) {
      log('warn', 'REDIS_STRANGER', `what lies in ${address} and is no reply is dropped`)
      remove(id)
      return id
    }
    handed.add(id)
    guard('onReply', () => onReply(reply, () => remove(id)))
    return id
  }

  function remove(id: string): void {
    taken.push(id)
    if (isRemoving) return
    isRemoving = true
    setImmediate(removeTaken)
  }

  function removeTaken(): void {
    const ids = taken
    taken = []
    isRemoving = false
    try {
      session()
        .commands.xdel(address, ...ids)
        .then(() => ids.forEach((id) => handed.delete(id)))
        .catch(() => keep(ids))
    } catch {
      keep(ids)
    }
  }

  /** Away: read again they are passed over, and are removed with what is taken next. */
  function keep(ids: readonly string[]): void {
    taken = [...ids, ...taken]
  }

  await standings.add(standing)
  return {
    address,
    async close() {
      if (isClosed) return
      isClosed = true
      clearInterval(renewing)
      standings.remove(standing)
      try {
        if (current !== undefined) session().close(current)
        await session().commands.del(address)
      } catch {
        // Away: its lease ends it.
      }
    },
  }
}

function fieldOf(fields: readonly Buffer[], name: string): Buffer {
  for (let at = 0; at + 1 < fields.length; at += 2)
    if (fields[at]?.toString() === name) return fields[at + 1] ?? NOTHING
  return NOTHING
}

const NOTHING = Buffer.alloc(0)
