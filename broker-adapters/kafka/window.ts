// What is known of the offsets of one partition from the lowest one that is not done. It is committed with that offset, so that
// whoever has the partition next runs only what is not done, and knows what was at work.

/** A record's place in its partition. */
export interface Slot {
  readonly offset: number
  state: 'waiting' | 'out' | 'done'
  /** How often it was handed out and came back. */
  handBacks: number
}

/** As it is committed. */
export interface Snapshot {
  readonly offset: number
  readonly metadata: string
  /** What is behind it is not handed out before the next commit. */
  readonly limit: number
}

/** What the one who had the partition before has left. */
export interface Legacy {
  readonly offset: number
  /** From it on nothing was handed out. */
  readonly limit: number
  isDone(offset: number): boolean
  handBacksOf(offset: number): number
  readonly done: number
  readonly out: number
}

/** Kafka takes 4096 bytes of metadata (`offset.metadata.max.bytes`), here base64. */
const MAX_BYTES = 3_000
/**
 * Between the lowest one that is not done and the last one that was fetched: its bitmap still fits into the metadata.
 */
export const MAX_SPAN = 20_000
const VERSION = 1

export interface Window<S extends Slot> {
  /** Where fetching goes on. */
  readonly next: number
  /** Everything before it is done. */
  readonly low: number
  /** Nothing at or behind it may be handed out yet. */
  readonly limit: number
  readonly span: number
  /** The lowest one that is not done. */
  first(): S | undefined
  /** All that is not done, in order. */
  slots(): readonly S[]
  /** The next one that was fetched; what is between it and the one before is none of ours. */
  add(slot: S): void
  /** Nothing of ours comes before this offset. */
  skipTo(offset: number): void
  finish(slot: S): void
  /**
   * @param ahead for how many offsets behind the last one that was handed out it speaks; undefined: it says exactly what is out, and
   *   nothing more is handed out until the next one
   */
  snapshot(ahead: number | undefined): Snapshot
  /** It is stored. */
  committed(snapshot: Snapshot): void
}

export function createWindow<S extends Slot>(legacy: Legacy): Window<S> {
  let next = legacy.offset
  let limit = legacy.limit
  /** From the lowest one that is not done on; `head` of them are done. */
  let slots: S[] = []
  let head = 0

  function trim(): void {
    while (head < slots.length && slots[head]?.state === 'done') head++
    if (head < 1_000 || head * 2 < slots.length) return
    slots = slots.slice(head)
    head = 0
  }
  const lowest = (): number => slots[head]?.offset ?? next

  return {
    get next() {
      return next
    },
    get low() {
      return lowest()
    },
    get limit() {
      return limit
    },
    get span() {
      return next - lowest()
    },
    first: () => slots[head],
    slots: () => slots.slice(head).filter(({ state }) => state !== 'done'),
    add(slot) {
      slots.push(slot)
      next = slot.offset + 1
      trim()
    },
    skipTo(offset) {
      next = Math.max(next, offset)
    },
    finish(slot) {
      slot.state = 'done'
      trim()
    },
    snapshot(ahead) {
      const offset = lowest()
      const known = slots.slice(head)
      const reach = known.findLast(({ state }) => state !== 'waiting')?.offset ?? offset - 1
      const until = ahead === undefined ? offset : Math.max(limit, reach + 1 + ahead)
      return { offset, limit: until, metadata: write(known, { offset, limit: until, next }) }
    },
    committed(snapshot) {
      limit = snapshot.limit // only one is under way at a time
    },
  }
}

// Layout, all varints (LEB128): version, limit - offset, mode, then of the offsets from the committed one on: mode 0: count of runs, and lengths
// of runs that are in turn not done and done; mode 1: count of bytes, and a bitmap of what is done. Then the count of those that are out, each
// as its distance to the one before; then the count of those that came back, each as its distance and how often.

function write(
  slots: readonly Slot[],
  { offset, limit, next }: { readonly offset: number; readonly limit: number; readonly next: number },
): string {
  const done = writeDone(slots, offset, next)
  const out = slots.filter(({ state }) => state === 'out')
  const back = slots.filter(({ state, handBacks }) => state !== 'done' && handBacks > 0)
  const head = [...varint(VERSION), ...varint(limit - offset), ...done]
  const room = MAX_BYTES - head.length
  const outs = distances(out, offset, () => [], room / 2)
  const backs = distances(back, offset, ({ handBacks }) => varint(handBacks), room - outs.length)
  return Buffer.from([...head, ...outs, ...backs]).toString('base64')
}

function writeDone(slots: readonly Slot[], offset: number, next: number): readonly number[] {
  const runs: number[] = []
  let isDone = false
  let from = offset
  for (const slot of slots) {
    // What lies between two slots is none of ours, and done.
    if ((slot.state === 'done') === isDone) continue
    runs.push(slot.offset - from)
    from = slot.offset
    isDone = !isDone
  }
  if (isDone) runs.push(next - from)
  const asRuns = [...varint(0), ...varint(runs.length), ...runs.flatMap(varint)]
  // One fetch may go beyond the span: what is done there and does not fit is not said, and runs again.
  const bytes = Math.min(Math.ceil((next - offset) / 8), MAX_SPAN / 8)
  if (asRuns.length <= bytes + 3) return asRuns
  const bitmap = Buffer.alloc(bytes)
  for (const slot of slots) {
    const bit = slot.offset - offset
    if (slot.state === 'done' && bit >> 3 < bitmap.length) bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7))
  }
  return [...varint(1), ...varint(bitmap.length), ...bitmap]
}

/** As many as there is room for: of the others it is not known. */
function distances(
  slots: readonly Slot[],
  offset: number,
  more: (slot: Slot) => readonly number[],
  room: number,
): readonly number[] {
  const written: number[] = []
  let count = 0
  let from = offset
  for (const slot of slots) {
    const entry = [...varint(slot.offset - from), ...more(slot)]
    if (written.length + entry.length + 3 > room) break
    written.push(...entry)
    from = slot.offset
    count++
  }
  return [...varint(count), ...written]
}

/** What a commit says; an empty or foreign one says nothing of what was handed out. */
export function readLegacy(offset: number, metadata: string): Legacy {
  const parts = parse(offset, metadata)
  if (parts === undefined)
    return legacyOf({ offset, limit: offset, isDone: () => false, out: new Set(), back: new Map(), done: 0 })
  return legacyOf(parts)
}

interface Parts {
  readonly offset: number
  readonly limit: number
  readonly isDone: (offset: number) => boolean
  readonly done: number
  readonly out: ReadonlySet<number>
  readonly back: ReadonlyMap<number, number>
}

function legacyOf({ offset, limit, isDone, done, out, back }: Parts): Legacy {
  return {
    offset,
    limit,
    isDone,
    done,
    out: out.size,
    // One that may have been handed out since the commit has, as nothing proves the contrary.
    handBacksOf: (at) => (back.get(at) ?? 0) + ((limit > offset ? at < limit : out.has(at)) ? 1 : 0),
  }
}

function parse(offset: number, metadata: string): Parts | undefined {
  const bytes = Buffer.from(metadata, 'base64')
  let at = 0
  const number = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) throw new RangeError('it ends too soon')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  try {
    if (bytes.length === 0 || number() !== VERSION) return undefined
    const limit = offset + number()
    const { isDone, count } =
      number() === 0
        ? readRuns(offset, number)
        : readBitmap(offset, number, (length) => bytes.subarray(at, (at += length)))
    const out = new Set<number>()
    let from = offset
    for (let left = number(); left > 0; left--) out.add((from += number()))
    const back = new Map<number, number>()
    from = offset
    for (let left = number(); left > 0; left--) back.set((from += number()), number())
    return { offset, limit, isDone, done: count, out, back }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function readRuns(offset: number, number: () => number): { isDone: (at: number) => boolean; count: number } {
  const ranges: (readonly [from: number, to: number])[] = []
  let from = offset
  let count = 0
  const runs = number()
  for (let run = 0; run < runs; run++) {
    const to = from + number()
    if (run % 2 === 1) {
      ranges.push([from, to])
      count += to - from
    }
    from = to
  }
  /** They are asked for in their order, thousands of them: each look begins where the last one ended. */
  let last = 0
  const isDone = (at: number): boolean => {
    if (at < (ranges[last]?.[0] ?? Infinity)) last = 0
    while (last < ranges.length && at >= (ranges[last]?.[1] ?? Infinity)) last++
    return at >= (ranges[last]?.[0] ?? Infinity)
  }
  return { isDone, count }
}

function readBitmap(
  offset: number,
  number: () => number,
  take: (length: number) => Buffer,
): { isDone: (at: number) => boolean; count: number } {
  const bitmap = take(number())
  let count = 0
  for (const byte of bitmap) for (let rest = byte; rest > 0; rest &= rest - 1) count++
  return { isDone: (at) => ((bitmap[(at - offset) >> 3] ?? 0) & (1 << ((at - offset) & 7))) !== 0, count }
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return bytes
}
