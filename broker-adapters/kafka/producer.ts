import { isStale, isTooLarge } from './failures.ts'
import { sizeOf } from './records.ts'
import type { Appended, Batch, NewRecord, Place, Wire } from './wire.ts'

/** Appends records, those of one partition in the order in which they were given. */
export interface Producer {
  /** Never rejects. */
  append(place: Place, record: NewRecord): Promise<Appended>
}

interface Waiting {
  readonly place: Place
  readonly record: NewRecord
  readonly bytes: number
  readonly resolve: (outcome: Appended) => void
  /** How often it was refused by a node that does not lead its partition. */
  strays: number
}

/**
 * So many requests are under way at most: while they are, the next one gathers what comes, so that load makes batches and a
 * single record waits for nothing.
 */
const UNDER_WAY = 3
/** A server takes 1,048,588 bytes as one batch, with what is around the records, unless it is set otherwise. */
const BATCH_BYTES = 1_000_000
const REQUEST_BYTES = 8_000_000
/** While another node takes over, or has not heard yet that it leads, for two seconds and a half. */
const STRAYS = 25
const STRAY_PAUSE_MS = 100

export function createProducer(wire: Wire, { timeoutMs }: { readonly timeoutMs: number }): Producer {
  let waiting: Waiting[] = []
  let underWay = 0
  let isPlanned = false

  function plan(): void {
    if (isPlanned || underWay >= UNDER_WAY || waiting.length === 0) return
    isPlanned = true
    queueMicrotask(flush)
  }

  function flush(): void {
    isPlanned = false
    const groups = take()
    if (groups.length === 0) return
    underWay++
    void send(groups).finally(() => {
      underWay--
      plan()
    })
    plan()
  }

  /** What fits into one request, a batch per partition; what does not waits, and what is behind it in its partition with it. */
  function take(): readonly Waiting[][] {
    const groups = new Map<string, { readonly items: Waiting[]; bytes: number }>()
    const full = new Set<string>()
    const left: Waiting[] = []
    let total = 0
    for (const item of waiting) {
      const name = `${item.place.topic}/${item.place.partition}`
      const group = groups.get(name)
      const isOver = group !== undefined && group.bytes + item.bytes > BATCH_BYTES
      if (full.has(name) || isOver || (total > 0 && total + item.bytes > REQUEST_BYTES)) {
        full.add(name)
        left.push(item)
        continue
      }
      total += item.bytes
      if (group === undefined) groups.set(name, { items: [item], bytes: item.bytes })
      else {
        group.items.push(item)
        group.bytes += item.bytes
      }
    }
    waiting = left
    return Array.from(groups.values(), ({ items }) => items)
  }

  async function send(groups: readonly Waiting[][]): Promise<void> {
    const outcomes = await wire.produce(groups.map(batchOf), timeoutMs)
    const alone: Promise<void>[] = []
    for (const [index, items] of groups.entries()) {
      const outcome = outcomes[index]
      if (outcome === undefined) continue
      // One record of it was too large, and none was stored: each is tried by itself.
      if (outcome.status === 'refused' && isTooLarge(outcome.error) && items.length > 1) alone.push(sendEach(items))
      else if (isStray(outcome, items)) sendLater(items)
      else for (const [at, item] of items.entries()) item.resolve(nth(outcome, at))
    }
    await Promise.all(alone)
  }

  async function sendEach(items: readonly Waiting[]): Promise<void> {
    for (const item of items) await send([[item]])
  }

  /** It is proved not to be stored, so this is no second copy. */
  function sendLater(items: readonly Waiting[]): void {
    for (const item of items) item.strays++
    setTimeout(() => {
      waiting.unshift(...items)
      plan()
    }, STRAY_PAUSE_MS)
  }

  return {
    append: (place, record) =>
      new Promise((resolve) => {
        waiting.push({ place, record, bytes: sizeOf(record), resolve, strays: 0 })
        plan()
      }),
  }
}

function batchOf(items: readonly Waiting[]): Batch {
  const [first] = items
  if (first === undefined) throw new Error('a batch has a record')
  return { ...first.place, records: items.map(({ record }) => record) }
}

function isStray(outcome: Appended, [first]: readonly Waiting[]): boolean {
  if (outcome.status !== 'refused' && outcome.status !== 'notSent') return false
  const mayPass = isStale(outcome.error) && outcome.error !== 'UNKNOWN_TOPIC_OR_PARTITION'
  return mayPass && first !== undefined && first.strays < STRAYS
}

/** Of the record at this place in its batch. */
function nth(outcome: Appended, at: number): Appended {
  if (outcome.status !== 'stored') return outcome
  const { offset, timestamp } = outcome
  return { status: 'stored', offset: offset + at, timestamp }
}
