import { randomUUID } from 'node:crypto'
import type { Reply } from '../../protocol/message.ts'
import type { AdapterContext, Mailbox } from '../adapter.ts'
import { mailboxAddress, mailboxPlace } from '../mailbox-address.ts'
import { createMailboxReader, type MailboxReader } from '../mailbox-reader.ts'
import type { Standing, StandingSet } from '../standing.ts'
import type { Session } from './dial.ts'
import { throughSeam } from './failures.ts'
import { createKeptState, keptPlace, madeAt, madeRecord, type Contents } from './kept.ts'
import { protocolError } from './places.ts'
import { readAll } from './read-all.ts'
import { readReply } from './records.ts'
import { createTail, type Tail } from './tail.ts'
import { ensureTopics, type Topics } from './topics.ts'
import type { Place, StoredRecord } from './wire.ts'

/** The mailboxes that one process reads. */
export interface Mailboxes {
  open(callId: string, createForMs: number | undefined, onReply: (reply: Reply) => void): Promise<Mailbox>
  end(): void
}

interface MailboxesParts {
  readonly context: Pick<AdapterContext, 'namespace' | 'log' | 'now'>
  readonly topics: Topics
  readonly session: () => Session
  readonly standings: StandingSet
  readonly url: string
  readonly guard: (what: string, run: () => void) => void
}

/** A partition in which somebody here reads. */
interface Shelf {
  readonly readers: Map<string, Set<MailboxReader>>
  readonly tail: Tail
}

/** Clocks of the caller and the server may be so far apart. */
const CLOCKS_MS = 600_000

export function createMailboxes({ context, topics, session, standings, url, guard }: MailboxesParts): Mailboxes {
  const shelves = new Map<number, Shelf>()

  function shelfOf({ topic, partition }: Place): Shelf {
    const known = shelves.get(partition)
    if (known !== undefined) return known
    const readers: Shelf['readers'] = new Map()
    const onRecord = (record: StoredRecord): void => {
      const mine = readers.get(record.key?.toString() ?? '')
      const reply = mine === undefined ? undefined : readReply(record)
      if (reply !== undefined) for (const reader of mine ?? []) reader.hear(reply)
    }
    const make = ({ main }: Session): Promise<unknown> => ensureTopics(main, [topics.kept])
    const tail = createTail({ topic, partition, use: 'mailboxes', log: context.log, make, onRecord })
    const shelf = { readers, tail }
    shelves.set(partition, shelf)
    return shelf
  }

  /** Where it is; undefined: nobody has kept anything yet, and this one is only to be read. */
  async function placeFor(now: Session, callId: string, isMade: boolean): Promise<Place | undefined> {
    const { topic } = topics.kept
    const facts = isMade ? (await ensureTopics(now.main, [topics.kept]))[0] : await now.main.topic(topic)
    return facts === undefined ? undefined : keptPlace(topic, callId, facts.partitions)
  }

  /** What it is now; made, if that is asked for and there is none. */
  async function look(
    now: Session,
    place: Place,
    { callId, maker, createForMs }: { readonly callId: string; readonly maker: string; readonly createForMs: number },
  ): Promise<Contents | undefined> {
    let madeUntil = -Infinity
    let to: number | undefined
    if (createForMs > 0) {
      const made = await now.producer.append(place, madeRecord({ callId, keepMs: createForMs, maker }))
      if (made.status !== 'stored') throw protocolError(made.error, `making the mailbox of ${callId}`)
      to = made.offset + 1
      madeUntil = made.timestamp
    }
    const state = createKeptState(callId)
    for await (const record of readAll(now.main, place, { from: await startOf(now, place, callId), to }))
      state.read(record)
    return state.at(Math.max(madeUntil, to === undefined ? context.now() : madeUntil))
  }

  /** Nothing of it is older than its id. */
  async function startOf(now: Session, place: Place, callId: string): Promise<number | undefined> {
    const at = madeAt(callId)
    if (at === undefined) return undefined
    const [offset = -1] = await now.main.offsets([place], Math.max(0, at - CLOCKS_MS))
    return offset < 0 ? undefined : offset // nothing is younger
  }

  return {
    async open(callId, createForMs, onReply) {
      const { name } = mailboxPlace(context.namespace, callId, 0)
      const maker = randomUUID()
      const reader = createMailboxReader((reply) => guard('onReply', () => onReply(reply)))
      let found: { readonly contents: Contents | undefined } | undefined
      let leave = (): void => {}

      const standing: Standing = {
        establish: () =>
          throughSeam(url, async () => {
            const now = session()
            const isMade = createForMs !== undefined && found === undefined
            const place = await placeFor(now, callId, isMade)
            if (place === undefined) return void (found ??= { contents: undefined })
            reader.wait()
            const shelf = shelfOf(place)
            leave = enter(shelf, place, callId, reader)
            await shelf.tail.follow(now)
            const contents = await look(now, place, {
              callId,
              maker,
              // It is made once: a reader outlives its mailbox, and makes no other.
              createForMs: isMade ? Math.ceil(createForMs) : 0,
            })
            found ??= { contents }
            reader.goOn(contents?.outcome)
          }),
      }
      const close = (): void => {
        standings.remove(standing)
        leave()
      }
      try {
        await standings.add(standing)
      } catch (error) {
        close()
        throw error
      }
      const contents = found?.contents
      if (contents === undefined) close()
      return {
        address: contents === undefined ? '' : mailboxAddress({ name, keepMs: contents.keepMs }),
        isFound: contents !== undefined && contents.maker !== maker,
        close() {
          close()
          return Promise.resolve()
        },
      }
    },
    end() {
      for (const { tail } of shelves.values()) tail.end()
    },
  }

  function enter({ readers, tail }: Shelf, { partition }: Place, callId: string, reader: MailboxReader): () => void {
    const all = readers.get(callId) ?? new Set()
    readers.set(callId, all.add(reader))
    return () => {
      all.delete(reader)
      if (all.size === 0 && readers.get(callId) === all) readers.delete(callId)
      if (readers.size > 0 || shelves.get(partition)?.tail !== tail) return
      shelves.delete(partition)
      tail.end()
    }
  }
}
