import { HEADER } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import type { Note } from './notes.ts'
import { readRequest, timesOf } from './records.ts'
import { createWindow, MAX_SPAN, type Legacy, type Slot, type Window } from './window.ts'
import type { Fetched, Place, StoredRecord } from './wire.ts'

/** A message that was fetched. */
export interface Work extends Slot {
  /** As it was stored, with what retries have changed. */
  message: Message
  changes: Readonly<Record<string, string>>
  /** What of its hand-backs was before its last retry. */
  handBacksBefore: number
  /** Of what must run in its order; undefined: it runs beside all others. */
  readonly key: string | undefined
  /** Epoch ms; 0: now. */
  dueAt: number
  readonly expiresAt: number
  /** It waits for its retry here, and was handed out before. */
  isHeld: boolean
}

/** One partition that this consumer has, from getting it to giving it up. */
export interface Partition extends Place {
  readonly window: Window<Work>
  readonly isHigh: boolean
  /** Deliveries that are not settled. */
  held: number
  /** Until then nothing of it is handed out, so that it can move to another consumer; of `performance.now()`, 0: it stays. */
  dryUntil: number
  /** What lies in it is for others, if there are any. */
  isForOthers: boolean
  /** There is something that no commit says yet. */
  isDirty: boolean
  /** Handed out since the last commit. */
  recent: number
  /** Room for more. False also while it is not known from where to read on. */
  readonly wantsMore: () => boolean
  isSpanFull(): boolean
  take(fetched: Fetched): void
  /** The next one that may be handed out now, without taking it. */
  peek(): Work | undefined
  /** It goes out, or is passed over as expired. */
  shift(): void
  /** It is done for good: the next one of its key may go. */
  finish(work: Work): void
  /** It comes back to its place, now or when it is due. */
  comeBack(work: Work): void
  /** When the next one is due that waits for nothing else, epoch ms; Infinity: none. Those that are due by `now` are ready then. */
  dueNext(now: number): number
  /** What waits here was purged at the server before this offset. */
  dropBefore(offset: number): void
  nextFence(): number
  setGeneration(generation: number): void
}

interface PartitionOptions extends Place {
  readonly legacy: Legacy
  readonly isHigh: boolean
  readonly isKeyed: boolean
  /** By offset, what retries have changed. */
  readonly notes: ReadonlyMap<number, Note>
  readonly generation: number
}

/** What lies ready is read no further ahead than this. */
const READY_MAX = 500
const BYTES_MAX = 16 * 1024 * 1024
/** A fence is the generation of the group and a count in it: https://kafka.apache.org/protocol (JoinGroup: generation_id, int32). */
const PER_GENERATION = 2 ** 32
const NO_CHANGES = Object.freeze({})

export function createPartition(options: PartitionOptions): Partition {
  const { topic, partition, legacy, isHigh, isKeyed, notes } = options
  const window = createWindow<Work>(legacy)
  /** In order of their offsets. */
  const ready: Work[] = []
  const waiting = new Set<Work>()
  /** Of each key those that are not done, in order: the first one may go. */
  const chains = new Map<string, Work[]>()
  let bytes = 0
  let base = options.generation * PER_GENERATION
  let fence = 0

  function accept(record: StoredRecord): void {
    const { offset } = record
    const note = notes.get(offset)
    const message = readRequest(record)
    const { dueAt, expiresAt } = timesOf(record)
    const work: Work = {
      offset,
      state: 'waiting',
      handBacks: legacy.handBacksOf(offset),
      handBacksBefore: note?.handBacks ?? 0,
      message: note === undefined ? message : { ...message, headers: { ...message.headers, ...note.headers } },
      changes: note?.headers ?? NO_CHANGES,
      key: isKeyed ? message.headers[HEADER.key] : undefined,
      dueAt: note?.dueAt ?? dueAt,
      expiresAt: note === undefined ? expiresAt : Infinity,
      isHeld: note !== undefined,
    }
    if (legacy.isDone(offset)) work.state = 'done'
    window.add(work)
    if (work.state === 'done') return
    bytes += message.body.byteLength
    if (work.key === undefined) return place(work)
    const chain = chains.get(work.key)
    if (chain === undefined) {
      chains.set(work.key, [work])
      place(work)
    } else chain.push(work)
  }

  /** Nothing of its key is before it. */
  function place(work: Work): void {
    if (work.dueAt > 0) waiting.add(work)
    else insert(work)
  }

  function insert(work: Work): void {
    let at = ready.length
    while (at > 0 && (ready[at - 1]?.offset ?? 0) > work.offset) at--
    ready.splice(at, 0, work)
  }

  function free(work: Work): void {
    window.finish(work)
    bytes -= work.message.body.byteLength
    const chain = work.key === undefined ? undefined : chains.get(work.key)
    if (chain === undefined || work.key === undefined) return
    const isFirst = chain[0] === work
    chain.splice(chain.indexOf(work), 1)
    const [next] = chain
    if (next === undefined) chains.delete(work.key)
    else if (isFirst) place(next)
  }

  const self: Partition = {
    topic,
    partition,
    window,
    isHigh,
    held: 0,
    dryUntil: 0,
    isForOthers: false,
    isDirty: false,
    recent: 0,
    wantsMore: () => ready.length < READY_MAX && bytes < BYTES_MAX && window.span < MAX_SPAN,
    isSpanFull: () => window.span >= MAX_SPAN,
    take({ from, records, nextOffset }) {
      if (from > window.next) return // asked for by whoever had the partition here before
      for (const record of records) if (record.offset >= window.next) accept(record)
      if (nextOffset > window.next) window.skipTo(nextOffset)
    },
    peek: () => ready[0],
    shift: () => void ready.shift(),
    finish(work) {
      free(work)
      self.isDirty = true
    },
    comeBack(work) {
      work.state = 'waiting'
      self.isDirty = true
      place(work)
    },
    dueNext(now) {
      let next = Infinity
      for (const work of waiting) {
        if (work.dueAt > now) next = Math.min(next, work.dueAt)
        else {
          waiting.delete(work)
          work.dueAt = 0
          insert(work)
        }
      }
      return next
    },
    dropBefore(offset) {
      for (const work of window.slots()) {
        if (work.offset >= offset || work.state !== 'waiting' || work.isHeld) continue
        const at = ready.indexOf(work)
        if (at >= 0) ready.splice(at, 1)
        waiting.delete(work)
        free(work)
      }
      window.skipTo(offset)
      self.isDirty = true
    },
    nextFence: () => base + ++fence,
    setGeneration(generation) {
      base = generation * PER_GENERATION
    },
  }
  return self
}
