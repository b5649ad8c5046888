import type { AdapterContext } from '../adapter.ts'
import type { OwnedPlace, Part } from './assigner.ts'
import type { Session } from './dial.ts'
import { nameOfError } from './failures.ts'
import { readNotes } from './notes.ts'
import { createPartition, type Partition } from './partition.ts'
import type { Wanted } from './reading.ts'
import type { WorkQueue } from './topics.ts'
import { MAX_SPAN, readLegacy } from './window.ts'
import type { Committed, Fetched, Place, Position, Wire } from './wire.ts'

/** The partitions that a consumer has. */
export interface Parts {
  readonly all: () => Iterable<Partition>
  /** The same, to be gone through in turn. */
  list(): readonly Partition[]
  /** From now on these: others are lost, new ones begin where the one before has left off. */
  become(part: Part, generation: number): Promise<void>
  introduce(): { readonly owned: readonly OwnedPlace[]; readonly generation: number }
  wanted(waits: { readonly waitMs: number; readonly shortWaitMs: number }): Wanted
  take(fetched: Fetched): void
  /** What was to be read is not there any more: where reading goes on is asked for. */
  find(place: Place, then: () => void): Promise<void>
  /** Its topic was deleted: it is made again, and everything in it is new. */
  renew(place: Place, then: () => void): Promise<void>
  forgetPurged(): Promise<void>
  isDirty(): boolean
  /** Reads what is urgent as far as it goes now; never rejects. */
  lookAtHigh(): Promise<void>
  /** Something waits at the server that could have been read. */
  isBehind(): Promise<boolean>
  block(partition: Partition): void
  unblock(): void
  isBlocked(partition: Partition): boolean
}

interface PartsOptions {
  readonly wire: Wire
  readonly session: Session
  readonly queue: WorkQueue
  readonly makeTopics: () => Promise<void>
  readonly onLost: (partition: Partition) => void
  readonly log: AdapterContext['log']
}

const AGAIN_MS = 200
const LOOK_BYTES = 1024 * 1024
/** What is at work for longer keeps its partition where it is, until it is shared anew. */
const DRYING_MS = 5_000

export function createParts({ wire, session, queue, makeTopics, onLost, log }: PartsOptions): Parts {
  const partitions = new Map<string, Partition>()
  const blocked = new Set<Partition>()
  /** Not known from where to read on. */
  const unknown = new Set<Partition>()
  let inTurn: readonly Partition[] = []
  let generation = 0
  let becoming = 0

  const nameOf = ({ topic, partition }: Place): string => `${topic}/${partition}`

  async function become({ places, drying }: Part, next: number): Promise<void> {
    const turn = ++becoming
    generation = next
    const names = new Set(places.map(nameOf))
    for (const [name, partition] of partitions) {
      if (names.has(name)) {
        partition.setGeneration(next)
        partition.isForOthers = false
        partition.dryUntil = drying.some((place) => nameOf(place) === name) ? performance.now() + DRYING_MS : 0
      } else {
        partitions.delete(name)
        onLost(partition)
      }
    }
    inTurn = [...partitions.values()]
    const news = places.filter((place) => !partitions.has(nameOf(place)))
    while (news.length > 0 && turn === becoming && session.isOpen) {
      try {
        const adopted = await adopt(news, next)
        if (turn !== becoming) return
        for (const partition of adopted) partitions.set(nameOf(partition), partition)
        inTurn = [...partitions.values()]
        return
      } catch (error) {
        log('debug', 'KAFKA_READING', `${queue.name}: ${nameOfError(error)}`)
        for (const { topic } of news) wire.forget(topic)
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
  }

  async function adopt(places: readonly Place[], next: number): Promise<readonly Partition[]> {
    const [committed, first] = await Promise.all([
      session.main.committed(queue.name, places),
      session.main.offsets(places, 'earliest'),
    ])
    return Promise.all(
      committed.map(async (one, index) => {
        const legacy = legacyFrom(one, first[index] ?? 0)
        const { topic, partition } = one
        const notes = await readNotes(session, queue, { partition, low: legacy.offset })
        const isHigh = topic === queue.high
        const made = createPartition({
          topic,
          partition,
          legacy,
          isHigh,
          isKeyed: queue.isKeyed,
          notes,
          generation: next,
        })
        // What was out is not any more, which the counts are to say soon.
        made.isDirty = legacy.out > 0 || legacy.limit > legacy.offset
        return made
      }),
    )
  }

  function find(place: Place, then: () => void): Promise<void> {
    return settle(place, then, async (partition) => {
      const [first = 0] = await session.main.offsets([place], 'earliest')
      // Purged it begins behind; else it ended before, so it was made anew, and everything in it is new.
      if (first <= partition.window.next) replace(partition, first)
      else partition.dropBefore(first)
    })
  }

  /** All of its topic: the others may be asked for only when it is there again, and then nothing tells. */
  async function renew({ topic }: Place, then: () => void): Promise<void> {
    const all = [...partitions.values()].filter((one) => one.topic === topic)
    const look = async (partition: Partition): Promise<void> => {
      for (const one of [wire, session.main]) one.forget(topic)
      await makeTopics()
      const [first = 0] = await session.main.offsets([partition], 'earliest')
      replace(partition, first)
    }
    await Promise.all(all.map((place) => settle(place, then, look)))
  }

  /** Until it is known from where to read on. */
  async function settle(place: Place, then: () => void, look: (partition: Partition) => Promise<void>): Promise<void> {
    const partition = partitions.get(nameOf(place))
    if (partition === undefined || unknown.has(partition)) return
    unknown.add(partition)
    while (partitions.get(nameOf(place)) === partition && session.isOpen) {
      try {
        await look(partition)
        break
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
    unknown.delete(partition)
    then()
  }

  async function lookAtHigh(): Promise<void> {
    const byLeader = new Map<number, Position[]>()
    for (const { topic, partition, isHigh, window, wantsMore } of inTurn) {
      const facts = isHigh && wantsMore() ? await session.main.topic(topic).catch(() => undefined) : undefined
      const leader = facts?.leaders[partition] ?? -1
      if (leader < 0) continue
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), { topic, partition, offset: window.next }])
    }
    const looks = Array.from(byLeader, async ([leader, positions]) => {
      for (const fetched of await session.main.fetch(leader, positions, { waitMs: 0, maxBytes: LOOK_BYTES }))
        if (fetched.error === undefined) partitions.get(nameOf(fetched))?.take(fetched)
    })
    await Promise.allSettled(looks) // what fails here is read like everything else
  }

  /** Its topic was deleted and made again: what is held of it is of no partition any more. */
  function replace(old: Partition, offset: number): void {
    const { topic, partition, isHigh } = old
    log('warn', 'KAFKA_TOPIC_NEW', `partition ${partition} of ${topic} was made anew; what waited in it is gone`)
    onLost(old)
    const legacy = readLegacy(offset, '')
    const made = createPartition({
      topic,
      partition,
      legacy,
      isHigh,
      isKeyed: queue.isKeyed,
      notes: new Map(),
      generation,
    })
    made.isDirty = true
    partitions.set(nameOf(old), made)
    inTurn = [...partitions.values()]
  }

  return {
    all: () => partitions.values(),
    list: () => inTurn,
    become,
    introduce: () => ({
      generation,
      // What no commit says yet is at work as well: whoever got it now would run again what is done.
      owned: Array.from(partitions.values(), ({ topic, partition, held, isForOthers, isDirty }) => ({
        topic,
        partition,
        held: held + (isDirty ? 1 : 0),
        isForOthers,
      })),
    }),
    wanted({ waitMs, shortWaitMs }) {
      const known = inTurn.filter((partition) => !unknown.has(partition))
      const now = known.filter((partition) => partition.wantsMore())
      for (const partition of known) if (partition.isSpanFull()) warnOfSpan(partition)
      return {
        positions: now.map(({ topic, partition, window }) => ({ topic, partition, offset: window.next })),
        waitMs: now.length < inTurn.length ? shortWaitMs : waitMs,
      }
    },
    take: (fetched) => partitions.get(nameOf(fetched))?.take(fetched),
    find,
    renew,
    async forgetPurged() {
      const all = [...partitions.values()]
      const first = await session.main.offsets(all, 'earliest')
      for (const [index, partition] of all.entries())
        if ((first[index] ?? 0) > partition.window.low) partition.dropBefore(first[index] ?? 0)
    },
    isDirty: () => inTurn.some(({ isDirty }) => isDirty),
    lookAtHigh,
    async isBehind() {
      const all = inTurn.filter((partition) => partition.wantsMore())
      const ends = await session.main.offsets(all, 'latest')
      return all.some(({ window }, index) => window.next < (ends[index] ?? 0))
    },
    block: (partition) => void blocked.add(partition),
    unblock: () => blocked.clear(),
    isBlocked: (partition) => blocked.has(partition),
  }

  function warnOfSpan({ topic, partition, window }: Partition): void {
    const slot = window.first()
    const method = slot?.message.headers['rt-method'] ?? 'a stranger'
    log(
      'warn',
      'KAFKA_SPAN',
      `partition ${partition} of ${topic} waits: a call of '${method}' (${slot?.message.id ?? ''}) is not done while ${MAX_SPAN} behind it were read`,
    )
  }
}

function legacyFrom({ offset, metadata }: Committed, first: number): ReturnType<typeof readLegacy> {
  return offset < first ? readLegacy(first, '') : readLegacy(offset, metadata)
}
