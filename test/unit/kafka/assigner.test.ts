import { expect, test } from 'vitest'
import {
  assign,
  type Member,
  type MemberMode,
  type OwnedPlace,
  type Part,
} from '../../../broker-adapters/kafka/assigner.ts'
import { createRandom, type Random } from '../protocol/random-values.ts'

const SEED = 20_261_123
const T = 'q'

/** @param owned partition → how many deliveries are at work there */
function memberOf(
  memberId: string,
  owned: Readonly<Record<number, number>> = {},
  more: Partial<Omit<Member, 'owned'>> = {},
): Member {
  const places = Object.entries(owned).map(([partition, held]): OwnedPlace => ({
    topic: T,
    partition: Number(partition),
    held,
    isForOthers: false,
  }))
  return { memberId, topics: [T], owned: places, generation: 1, mode: 'active', ...more }
}

const numbersOf = (places: readonly { readonly partition: number }[]): readonly number[] =>
  places.map(({ partition }) => partition).toSorted((one, other) => one - other)

/** Of each member its partitions, in their order; what is to run dry behind a slash. */
function partsOf(members: readonly Member[], count: number): Readonly<Record<string, string>> {
  const shown = ({ places, drying }: Part): string =>
    `${numbersOf(places).join(' ')}${drying.length > 0 ? ` / ${numbersOf(drying).join(' ')}` : ''}`
  return Object.fromEntries(Array.from(assign(members, new Map([[T, count]])), ([id, part]) => [id, shown(part)]))
}
const idle = (...partitions: readonly number[]): Readonly<Record<number, number>> =>
  Object.fromEntries(partitions.map((partition) => [partition, 0]))

test('who is alone has everything', () => {
  expect(partsOf([memberOf('a')], 4)).toEqual({ a: '0 1 2 3' })
})

test('nothing moves while nobody comes or goes', () => {
  expect(partsOf([memberOf('b', idle(0, 3)), memberOf('a', idle(1, 2, 4))], 5)).toEqual({ a: '1 2 4', b: '0 3' })
})

test('who comes gets a fair share of what is idle, at once', () => {
  const busy = memberOf('a', { 0: 2, 1: 0, 2: 1, 3: 0 })
  expect(partsOf([busy, memberOf('b')], 4)).toEqual({ a: '0 2', b: '1 3' })
})

test('what is at work stays where it is; of what one has too many the least busy is to run dry', () => {
  expect(partsOf([memberOf('a', { 0: 3, 1: 1, 2: 2, 3: 4 }), memberOf('b')], 4)).toEqual({ a: '0 1 2 3 / 1 2', b: '' })
  expect(partsOf([memberOf('a', { 0: 3, 1: 1, 2: 2, 3: 0 }), memberOf('b')], 4)).toEqual({ a: '0 1 2 / 1', b: '3' })
})

test('what belongs to somebody who is gone is shared among the others, and nothing else moves', () => {
  const parts = assign([memberOf('a', idle(0, 1)), memberOf('b', idle(4, 5))], new Map([[T, 6]]))
  const [a = [], b = []] = ['a', 'b'].map((id) => numbersOf(parts.get(id)?.places ?? []))
  expect([a.length, b.length]).toEqual([3, 3])
  expect(a).toEqual(expect.arrayContaining([0, 1]))
  expect(b).toEqual(expect.arrayContaining([4, 5]))
})

test('of more members than partitions some have none', () => {
  const parts = partsOf(
    ['a', 'b', 'c'].map((id) => memberOf(id)),
    2,
  )
  expect(Object.values(parts).toSorted()).toEqual(['', '0', '1'])
})

test.each(['stopping', 'full'] as const)('who is %s keeps what is at work, and gives the rest', (mode) => {
  const one = memberOf('a', { 0: 1, 1: 0, 2: 0 }, { mode })
  expect(partsOf([one, memberOf('b', idle(3))], 4)).toEqual({ a: '0', b: '1 2 3' })
})

test('where all are full they have everything; where all are stopping what is idle waits', () => {
  const owned = { 0: 1, 1: 0 }
  expect(partsOf([memberOf('a', owned, { mode: 'full' })], 3)).toEqual({ a: '0 1 2' })
  expect(partsOf([memberOf('a', owned, { mode: 'stopping' })], 3)).toEqual({ a: '0' })
})

test('what lies in a partition for others goes to another one, if there is any, once it has run dry', () => {
  const place = { topic: T, partition: 0, held: 0, isForOthers: true }
  const giving = { ...memberOf('a', idle(1)), owned: [place, { ...place, partition: 1, isForOthers: false }] }
  const parts = assign([giving, memberOf('b', idle(2, 3))], new Map([[T, 4]]))
  expect(numbersOf(parts.get('b')?.places ?? [])).toContain(0)
  expect(partsOf([giving], 2)).toEqual({ a: '0 1' })
  const busy = { ...giving, owned: [{ ...place, held: 1 }] }
  expect(partsOf([busy, memberOf('b', idle(1))], 2)).toEqual({ a: '0 / 0', b: '1' })
})

test('of two that say they have a partition the later one is right', () => {
  const before = memberOf('a', { 0: 5, 1: 5 }, { generation: 3 })
  const now = memberOf('b', { 0: 0, 1: 1 }, { generation: 4 })
  const parts = partsOf([before, now, memberOf('c', idle(2, 3), { generation: 4 })], 4)
  expect(parts['b']).toContain('1')
  expect(parts['a']).not.toContain('1')
  const gone = memberOf('a', { 0: 5 }, { generation: 3, mode: 'stopping' })
  expect(partsOf([gone, memberOf('b', idle(0), { generation: 4 })], 1)).toEqual({ a: '', b: '0' })
})

test('a topic that a member does not read is not given to it, nor a partition that is not there any more', () => {
  const topics = new Map([
    [T, 2],
    [`${T}.high`, 2],
  ])
  const both = memberOf('a', {}, { topics: [T, `${T}.high`] })
  const parts = assign([both, memberOf('b', idle(1, 7))], topics)
  expect(parts.get('b')?.places).toEqual([{ topic: T, partition: 1 }])
  expect(parts.get('a')?.places).toHaveLength(3)
  expect(partsOf([memberOf('a', idle(0, 9))], 1)).toEqual({ a: '0' })
})

const MODES = ['active', 'active', 'active', 'full', 'stopping'] as const

/** Members that come, go, stop and work. */
function change(random: Random, members: readonly Member[], turn: number): readonly Member[] {
  const changed = members
    .filter(() => random.below(6) > 0)
    .map((member): Member => {
      const mode: MemberMode = member.mode === 'stopping' ? 'stopping' : random.pick(MODES)
      const owned = member.owned.map((place) => ({
        ...place,
        held: random.below(3),
        isForOthers: random.below(8) === 0,
      }))
      return { ...member, mode, owned }
    })
  const news = Array.from({ length: random.below(3) }, (_, at) => memberOf(`m${random.below(1_000)}-${turn}-${at}`))
  return [...changed, ...news]
}

test(`all is given to exactly one, evenly, and nothing that is at work moves (seed ${SEED})`, () => {
  const random = createRandom(SEED)
  const count = 13
  const topics = new Map([[T, count]])
  let members: readonly Member[] = []
  for (let generation = 1; generation < 400; generation++) {
    members = change(random, members, generation)
    const parts = assign(members, topics)
    const takes = members.some(({ mode }) => mode !== 'stopping')
    const given = [...parts.values()].flatMap(({ places }) => numbersOf(places))
    expect(new Set(given).size).toBe(given.length)
    if (takes) expect(given).toHaveLength(count)
    for (const { memberId, owned, mode } of members) {
      const { places = [], drying = [] } = parts.get(memberId) ?? {}
      const busy = numbersOf(owned.filter(({ held }) => held > 0))
      expect(numbersOf(places)).toEqual(expect.arrayContaining([...busy]))
      expect(busy).toEqual(expect.arrayContaining([...numbersOf(drying)]))
      if (mode === 'stopping') expect(numbersOf(places)).toEqual(busy)
    }
    members = members.map((member) => ({
      ...member,
      generation,
      owned: (parts.get(member.memberId)?.places ?? []).map((place) => ({ ...place, held: 0, isForOthers: false })),
    }))
    // Once nothing is at work it is even, and stays as it is.
    const quiet = members.map((member) => ({ ...member, mode: 'active' as const }))
    const even = assign(quiet, topics)
    const counts = Array.from(even.values(), ({ places }) => places.length)
    if (counts.length > 0) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    const settled = quiet.map((member) => ({
      ...member,
      owned: (even.get(member.memberId)?.places ?? []).map((place) => ({ ...place, held: 0, isForOthers: false })),
    }))
    for (const [id, { places, drying }] of assign(settled, topics))
      expect([numbersOf(places), drying]).toEqual([numbersOf(even.get(id)?.places ?? []), []])
  }
})
