import { expect, test } from 'vitest'
import { createKeyChains } from '../../../broker-adapters/rabbitmq/key-chains.ts'

test('only the first of a key is its head; its removal gives the next one', () => {
  const chains = createKeyChains<number>()
  expect([chains.add('a', 1), chains.add('a', 2), chains.add('b', 3), chains.add('a', 4)]).toEqual([
    true,
    false,
    true,
    false,
  ])
  expect([...chains.heads()]).toEqual([1, 3])
  expect([chains.isHead('a', 1), chains.isHead('a', 2)]).toEqual([true, false])
  expect(chains.remove('a', 2)).toBeUndefined() // it was not the head
  expect(chains.remove('a', 1)).toBe(4)
  expect(chains.remove('a', 1)).toBeUndefined() // it is gone
  expect(chains.remove('b', 3)).toBeUndefined()
  expect(chains.size).toBe(1)
  expect(chains.add('b', 5)).toBe(true)
})
