import { expect, test } from 'vitest'
import { createKeyLines } from '../../../client/key-lines.ts'
import type { OutboxEntry } from '../../../client/outbox-lane.ts'

type Named = OutboxEntry & { readonly order: number }
const entry = (order: number): Named => ({ order, isBehind: false, isDropped: false }) as unknown as Named // only these are read

test('a key has one first; the others follow in their order, other keys do not wait', () => {
  const lines = createKeyLines()
  const [a0, a1, a2, b0] = [entry(0), entry(1), entry(2), entry(3)]
  expect([lines.join('a', a0), lines.join('a', a1), lines.join('a', a2), lines.join('b', b0)]).toEqual([
    true,
    false,
    false,
    true,
  ])
  expect(lines.waiting()).toEqual([a1, a2])
  expect(lines.leave('b', b0)).toBeUndefined()
  expect(lines.leave('a', a0)).toBe(a1)
  expect(lines.leave('a', a1)).toBe(a2)
  expect(lines.leave('a', a2)).toBeUndefined()
  expect(lines.join('a', entry(4))).toBe(true)
})

test('what is dropped is passed over, and not held for long behind a first that never leaves', () => {
  const lines = createKeyLines()
  const first = entry(0)
  lines.join('a', first)
  const others = Array.from({ length: 10_000 }, (_, index) => entry(index + 1))
  const drop = (dropped: Named): void => {
    dropped.isDropped = true
    expect(lines.leave('a', dropped)).toBeUndefined()
  }
  for (const other of others) {
    lines.join('a', other)
    if (other.order % 100 !== 0) drop(other)
  }
  const left = others.filter(({ isDropped }) => !isDropped)
  expect(lines.waiting()).toEqual(left)
  const order: number[] = []
  for (let at = lines.leave('a', first); at !== undefined; at = lines.leave('a', at)) order.push(at.order)
  expect(order).toEqual(left.map((one) => one.order))
})

test('two hundred thousand of one key leave as quickly as they came', () => {
  const lines = createKeyLines()
  const count = 200_000
  const first = entry(0)
  lines.join('a', first)
  for (let n = 1; n < count; n++) lines.join('a', entry(n))
  let left = 0
  for (let at: OutboxEntry | undefined = first; at !== undefined; at = lines.leave('a', at)) left++
  expect(left).toBe(count)
})
