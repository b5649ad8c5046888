import { expect, test } from 'vitest'
import {
  createHubQueue,
  type Entry,
  type EntryState,
  type HubQueue,
} from '../../../broker-adapters/embedded/hub-queue.ts'

/** How often somebody looked at a message; what is quadratic looks at each as often as there are others. */
let looks = 0

function entryOf(queue: HubQueue, sequence: number, more: { turnKey?: string; isHigh?: boolean } = {}): Entry {
  let current: EntryState = 'storing'
  return {
    sequence,
    id: `m${sequence}`,
    key: `m${sequence}`,
    queue,
    bytes: 0,
    turnKey: more.turnKey,
    isHigh: more.isHigh ?? false,
    record: undefined,
    order: sequence,
    grants: 0,
    session: 0,
    dueAt: 0,
    expiresAt: 0,
    get state() {
      looks++
      return current
    },
    set state(state) {
      current = state
    },
    holder: undefined,
  }
}
function fill(count: number, keyOf: (index: number) => string | undefined): HubQueue {
  const queue = createHubQueue('q', 1)
  for (let index = 1; index <= count; index++) {
    const turnKey = keyOf(index)
    queue.addReady(entryOf(queue, index, turnKey === undefined ? {} : { turnKey }))
  }
  return queue
}
/** Hands out and settles everything; what is out at a time is what can be. */
function drain(queue: HubQueue): number[] {
  const order: number[] = []
  while (queue.readyCount > 0) {
    const out: Entry[] = []
    for (let entry = queue.takeNext(); entry !== undefined; entry = queue.takeNext()) {
      entry.state = 'leased'
      out.push(entry)
    }
    if (out.length === 0) throw new Error('nothing is handed out, though something is ready')
    for (const entry of out) {
      entry.state = 'gone'
      queue.endTurn(entry)
      order.push(entry.sequence)
    }
  }
  return order
}

test.each([
  ['no keys', () => undefined],
  ['10,000 keys', (index: number) => `k${index % 10_000}`],
  ['one hot key', () => 'k'],
] as const)('%s: 100,000 messages are handed out in order, with a few looks at each', (_, keyOf) => {
  const queue = fill(100_000, keyOf)
  looks = 0
  expect(drain(queue)).toEqual(Array.from({ length: 100_000 }, (_none, index) => index + 1))
  expect(looks).toBeLessThan(100_000 * 10)
})

test('what waited for its key is handed out before what was stored after it', () => {
  const queue = createHubQueue('q', 1)
  const [a1, a2, plain] = [entryOf(queue, 1, { turnKey: 'a' }), entryOf(queue, 2, { turnKey: 'a' }), entryOf(queue, 3)]
  for (const entry of [a1, a2, plain]) queue.addReady(entry)
  const a4 = entryOf(queue, 4, { turnKey: 'a' })
  queue.addReady(a4)
  expect(queue.takeNext()).toBe(a1)
  a1.state = 'gone'
  expect(queue.endTurn(a1)).toBe(true)
  expect(queue.takeNext()).toBe(a2)
  a2.state = 'gone'
  queue.endTurn(a2)
  expect(queue.takeNext()).toBe(plain)
  expect(queue.takeNext()).toBe(a4)
  expect(queue.readyCount).toBe(0)
})

test('what was withdrawn while it waited is left out, and a key that nobody waits for is free', () => {
  const queue = createHubQueue('q', 1)
  const [a1, a2, a3] = [1, 2, 3].map((sequence) => entryOf(queue, sequence, { turnKey: 'a' })) as [Entry, Entry, Entry]
  for (const entry of [a1, a2, a3]) queue.addReady(entry)
  queue.takeNext()
  for (const entry of [a2, a3]) {
    queue.withdraw(entry)
    entry.state = 'gone'
  }
  expect(queue.endTurn(a1)).toBe(false)
  const a4 = entryOf(queue, 4, { turnKey: 'a' })
  queue.addReady(a4)
  expect(queue.takeNext()).toBe(a4)
})

test('given back, high ones are first, and each where it was', () => {
  const queue = createHubQueue('q', 1)
  const all = [1, 2, 3, 4, 5, 6].map((sequence) => entryOf(queue, sequence, { isHigh: sequence % 2 === 0 }))
  for (const entry of all) queue.addReady(entry)
  const taken = [1, 2, 3, 4, 5].map(() => queue.takeNext())
  expect(taken.map((entry) => entry?.sequence)).toEqual([2, 4, 6, 1, 3])
  for (const entry of taken.toReversed()) if (entry !== undefined) queue.giveBack(entry)
  expect(drain(queue)).toEqual([2, 4, 6, 1, 3, 5])
})
