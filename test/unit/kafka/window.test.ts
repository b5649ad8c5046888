import { expect, test } from 'vitest'
import { createWindow, MAX_SPAN, readLegacy, type Slot, type Window } from '../../../broker-adapters/kafka/window.ts'
import { createRandom } from '../protocol/random-values.ts'

const SEED = 20_261_123
/** What a server takes by default: `offset.metadata.max.bytes`. */
const SERVERS_LIMIT = 4096

/** A window that begins at `from`, with so many slots behind it. */
function setWindow(count: number, from = 100): { readonly window: Window<Slot>; readonly slots: readonly Slot[] } {
  const window = createWindow<Slot>(readLegacy(from, ''))
  const slots = Array.from({ length: count }, (_, at): Slot => ({ offset: from + at, state: 'waiting', handBacks: 0 }))
  for (const slot of slots) window.add(slot)
  return { window, slots }
}

function finishAll(window: Window<Slot>, slots: readonly (Slot | undefined)[]): void {
  for (const slot of slots) if (slot !== undefined) window.finish(slot)
}

test('everything before the lowest one that is not done is done, and is not kept', () => {
  const { window, slots } = setWindow(5)
  expect([window.low, window.next, window.span]).toEqual([100, 105, 5])
  finishAll(window, [slots[1], slots[3]])
  expect([window.low, window.span]).toEqual([100, 5])
  finishAll(window, [slots[0]])
  expect([window.low, window.span]).toEqual([102, 3])
  expect(Array.from(window.slots(), ({ offset }) => offset)).toEqual([102, 104])
  finishAll(window, [slots[2], slots[4]])
  expect([window.low, window.next, window.span]).toEqual([105, 105, 0])
})

test('what is between two slots is none of ours: reading goes on behind it, and never back', () => {
  const { window, slots } = setWindow(1)
  window.skipTo(110)
  expect(window.next).toBe(110)
  window.skipTo(105)
  expect(window.next).toBe(110)
  window.add({ offset: 115, state: 'waiting', handBacks: 0 })
  finishAll(window, slots)
  expect([window.low, window.next]).toEqual([115, 116])
})

test('whoever has the partition next knows what is done, what is out and what came back', () => {
  const { window, slots } = setWindow(6)
  const [, out, done, cameBack] = slots
  if (out === undefined || done === undefined || cameBack === undefined) throw new Error('there are six')
  out.state = 'out'
  window.finish(done)
  cameBack.handBacks = 3
  const snapshot = window.snapshot(undefined)
  expect([snapshot.offset, snapshot.limit]).toEqual([100, 100])
  const legacy = readLegacy(snapshot.offset, snapshot.metadata)
  expect([legacy.offset, legacy.limit, legacy.done, legacy.out]).toEqual([100, 100, 1, 1])
  expect(slots.map(({ offset }) => legacy.isDone(offset))).toEqual([false, false, true, false, false, false])
  expect(slots.map(({ offset }) => legacy.handBacksOf(offset))).toEqual([0, 1, 0, 3, 0, 0])
})

test('up to the limit everything may have been handed out; behind it nothing was', () => {
  const { window, slots } = setWindow(50)
  expect(window.limit).toBe(100)
  const first = window.snapshot(16)
  expect(first.limit).toBe(116)
  expect(window.limit).toBe(100) // not before it is stored
  window.committed(first)
  expect(window.limit).toBe(116)
  const legacy = readLegacy(first.offset, first.metadata)
  expect([100, 115, 116].map((at) => legacy.handBacksOf(at))).toEqual([1, 1, 0])
  const far = slots[30]
  if (far !== undefined) far.state = 'out'
  expect(window.snapshot(16).limit).toBe(147)
  const exact = window.snapshot(undefined)
  expect(exact.limit).toBe(100)
  window.committed(exact)
  expect(window.limit).toBe(100) // nothing more is handed out until the next one
  expect(createWindow(readLegacy(first.offset, first.metadata)).limit).toBe(116)
})

test.each(['runs', 'bitmap'])('what is done comes back as it was, written as %s', (form) => {
  const { window, slots } = setWindow(5_000)
  const isDone = (at: number): boolean => (form === 'runs' ? at > 10 && at !== 2_500 : at % 3 !== 0)
  finishAll(
    window,
    slots.filter((_, at) => isDone(at)),
  )
  const { offset, metadata } = window.snapshot(undefined)
  expect(Buffer.from(metadata, 'base64')[2]).toBe(form === 'runs' ? 0 : 1) // version, limit - offset, mode
  const legacy = readLegacy(offset, metadata)
  expect(slots.filter(({ offset }, at) => legacy.isDone(offset) !== isDone(at))).toEqual([])
  expect(legacy.done).toBe(slots.filter(({ state }) => state === 'done').length)
  expect([offset - 1, offset + 5_000].map((at) => legacy.isDone(at))).toEqual([false, false])
})

test.each([2, 3, 7, 100])('a span of 20,000 fits, when each %d. one is done', (each) => {
  const { window, slots } = setWindow(MAX_SPAN)
  for (const [at, slot] of slots.entries()) {
    if (at > 0 && at % each === 0) window.finish(slot)
    else if (at < 5_000) Object.assign(slot, { state: 'out', handBacks: 1_000 }) // far more than can be said
  }
  const { offset, metadata } = window.snapshot(undefined)
  expect(metadata.length).toBeLessThanOrEqual(SERVERS_LIMIT)
  const legacy = readLegacy(offset, metadata)
  expect(slots.filter(({ offset: at, state }) => legacy.isDone(at) !== (state === 'done'))).toEqual([])
  expect(legacy.out).toBeGreaterThan(200)
  expect(legacy.handBacksOf(offset)).toBe(1_001)
})

test.each([20_500, 27_000])('one of %d, as a last fetch may make it, fits too', (span) => {
  for (const each of [2, 12, 33]) {
    const { window, slots } = setWindow(span)
    finishAll(
      window,
      slots.filter((_, at) => at > 0 && at % each === 0),
    )
    const { offset, metadata } = window.snapshot(16)
    expect([each, metadata.length <= SERVERS_LIMIT]).toEqual([each, true])
    const legacy = readLegacy(offset, metadata)
    // Of what is beyond it it may be unknown that it is done, never the contrary.
    const isWrong = ({ offset: at, state }: Slot, index: number): boolean =>
      legacy.isDone(at) !== (state === 'done') && (index < MAX_SPAN || state !== 'done')
    expect(slots.filter(isWrong)).toEqual([])
  }
})

test.each([
  '',
  'a',
  '????',
  'AA==',
  Buffer.of(1).toString('base64'),
  Buffer.of(1, 0, 0, 5, 1).toString('base64'),
  'üöä',
])('the metadata %j says nothing, and harms nobody', (metadata) => {
  const legacy = readLegacy(7, metadata)
  expect([legacy.offset, legacy.limit, legacy.done, legacy.out, legacy.isDone(7), legacy.handBacksOf(7)]).toEqual([
    7,
    7,
    0,
    0,
    false,
    0,
  ])
})

test(`whatever happens to a window, its commits are true and fit (seed ${SEED})`, () => {
  const random = createRandom(SEED)
  for (let round = 0; round < 40; round++) {
    const window = createWindow<Slot>(readLegacy(random.below(1_000), ''))
    const all: Slot[] = []
    const states = ['waiting', 'out', 'done', 'back'] as const
    for (let step = 0, steps = random.below(400); step < steps; step++) {
      if (random.below(3) > 0)
        for (let left = 1 + random.below(20); left > 0; left--) {
          if (random.below(10) === 0) window.skipTo(window.next + random.below(30))
          const slot: Slot = { offset: window.next, state: 'waiting', handBacks: 0 }
          all.push(slot)
          window.add(slot)
        }
      const open = [...window.slots()]
      const slot = open[random.below(open.length)]
      const next = random.pick(states)
      if (slot === undefined) continue
      if (next === 'done') window.finish(slot)
      else if (next === 'out') slot.state = 'out'
      else if (next === 'back' && slot.state === 'out')
        Object.assign(slot, { state: 'waiting', handBacks: slot.handBacks + 1 })
    }
    expect(window.low).toBe(all.find(({ state }) => state !== 'done')?.offset ?? window.next)
    expect(window.span).toBe(window.next - window.low)
    const ahead = random.pick([undefined, 1, 16, 500])
    const { offset, limit, metadata } = window.snapshot(ahead)
    expect(metadata.length).toBeLessThanOrEqual(SERVERS_LIMIT)
    expect(offset).toBe(window.low)
    const legacy = readLegacy(offset, metadata)
    expect(legacy.limit).toBe(limit)
    const left = all.filter((slot) => slot.offset >= offset)
    const wrong = left.filter((slot) => {
      if (legacy.isDone(slot.offset) !== (slot.state === 'done')) return true
      if (slot.state === 'done') return false
      const mayBeOut = ahead === undefined ? slot.state === 'out' : slot.offset < limit
      // All that is out is within the limit.
      if (slot.state === 'out' && !mayBeOut) return true
      return legacy.handBacksOf(slot.offset) !== slot.handBacks + (mayBeOut ? 1 : 0)
    })
    expect(wrong).toEqual([])
    expect(legacy.out).toBe(left.filter(({ state }) => state === 'out').length)
  }
})
