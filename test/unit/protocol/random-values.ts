/** A small seeded generator (mulberry32): the same seed gives the same values on every machine. */
export interface Random {
  /** From 0 to below `bound`. */
  below(bound: number): number
  pick<T>(items: readonly [T, ...T[]]): T
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (bound: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound)
  }
  return { below, pick: (items) => items[below(items.length)] ?? items[0] }
}

export type Kind = 'json' | 'cbor'

/** A plain value of everything that the encoding carries, a few levels deep. */
export function randomValue(random: Random, kind: Kind, depth = 0): unknown {
  const leaf = depth >= 4 || random.below(3) === 0
  if (leaf) return random.pick(kind === 'json' ? JSON_LEAVES : CBOR_LEAVES)(random)
  const size = random.below(5)
  const items = Array.from({ length: size }, () => randomValue(random, kind, depth + 1))
  switch (random.below(kind === 'json' ? 2 : 4)) {
    case 0:
      return items
    case 1:
      return Object.fromEntries(items.map((item) => [randomText(random), item]))
    case 2:
      return new Map(items.map((item) => [randomValue(random, kind, depth + 1), item]))
    default:
      return new Set(items)
  }
}

export function randomText(random: Random): string {
  const alphabet = [
    'a',
    'Z',
    '0',
    ' ',
    '"',
    '\\',
    '\n',
    '\0',
    'é',
    '€',
    '漢',
    '😀',
    'constructor',
    'toString',
    '-',
  ] as const
  return Array.from({ length: random.below(random.below(20) === 0 ? 200 : 12) }, () => random.pick(alphabet)).join('')
}

type Leaf = (random: Random) => unknown

const JSON_LEAVES: readonly [Leaf, ...Leaf[]] = [
  () => null,
  () => true,
  () => false,
  randomText,
  (random) => random.below(100),
  (random) => -1 - random.below(2 ** 31),
  (random) => random.below(2 ** 32) * 1000,
  (random) => random.below(1000) / 7,
  (random) => random.pick([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, Number.MAX_VALUE, Number.MIN_VALUE, 1e21]),
]

const CBOR_LEAVES: readonly [Leaf, ...Leaf[]] = [
  ...JSON_LEAVES,
  () => undefined,
  () => NaN,
  (random) => random.pick([Infinity, -Infinity]),
  (random) => new Date(random.below(2 ** 40) - 2 ** 39),
  (random) => BigInt(random.below(2 ** 32)) ** BigInt(random.below(6)) * random.pick([1n, -1n]),
  (random) => Uint8Array.from({ length: random.below(40) }, () => random.below(256)),
]
