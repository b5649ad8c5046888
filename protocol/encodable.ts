/** What a codec can carry beyond plain objects, arrays, strings, finite numbers, booleans and null. */
export interface Carries {
  readonly name: string
  readonly dates: boolean
  readonly bigints: boolean
  readonly maps: boolean
  readonly sets: boolean
  readonly bytes: boolean
  readonly nonFinite: boolean
  readonly undefinedItems: boolean
}

export const MAX_DEPTH = 64

/** The value cannot be carried, or the bytes cannot be read; the message ends a sentence. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}

/**
 * Refuses what the codec would silently change: class instances become empty objects in CBOR, dates strings in JSON.
 * Throws a CodecError that names the path. Cycles end at the depth limit.
 */
export function assertEncodable(value: unknown, carries: Carries): void {
  const problem = findProblem(value, carries, 0)
  if (problem !== undefined)
    throw new CodecError(
      `${problem.path === '' ? 'the value' : `the value at ${problem.path.replace(/^\./, '')}`} ${problem.what}`,
    )
}

interface Problem {
  readonly path: string
  readonly what: string
}

function findProblem(value: unknown, carries: Carries, depth: number): Problem | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return undefined
    case 'number':
      return Number.isFinite(value) || carries.nonFinite ? undefined : cannot(`is ${value}`, carries)
    case 'bigint':
      return carries.bigints ? undefined : cannot('is a BigInt', carries)
    case 'object':
      return value === null ? undefined : findInObject(value, carries, depth)
    default:
      return here(`is a ${typeof value}, which no message can carry`)
  }
}

function findInObject(value: object, carries: Carries, depth: number): Problem | undefined {
  if (depth >= MAX_DEPTH) return here(`is nested deeper than ${MAX_DEPTH} levels, or contains itself`)
  if (Array.isArray(value)) return findInArray(value, carries, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return findInRecord(value, carries, depth)
  if (value instanceof Uint8Array) return carries.bytes ? undefined : cannot('is a Uint8Array', carries)
  if (value instanceof Date) return carries.dates ? undefined : cannot('is a Date', carries)
  if (value instanceof Map) return carries.maps ? findInMap(value, carries, depth) : cannot('is a Map', carries)
  if (value instanceof Set) return carries.sets ? findInItems(value, carries, depth) : cannot('is a Set', carries)
  return here(`is an instance of ${className(value)}, which would lose its class on the way: pass a plain object`)
}

function findInArray(items: readonly unknown[], carries: Carries, depth: number): Problem | undefined {
  for (let index = 0; index < items.length; index++) {
    const item = items[index]
    if (item === undefined && !carries.undefinedItems) return under(`[${index}]`, cannot('is undefined', carries))
    const problem = findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under(`[${index}]`, problem)
  }
  return undefined
}

function findInRecord(record: object, carries: Carries, depth: number): Problem | undefined {
  for (const [key, item] of Object.entries(record)) {
    if (key === '__proto__') return here("has a key '__proto__', which no message can carry")
    const problem = findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under(`.${key}`, problem)
  }
  return undefined
}

function findInMap(map: ReadonlyMap<unknown, unknown>, carries: Carries, depth: number): Problem | undefined {
  for (const [key, item] of map) {
    const problem = findProblem(key, carries, depth + 1) ?? findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under(`{${String(typeof key === 'object' ? 'an object' : key)}}`, problem)
  }
  return undefined
}

function findInItems(items: Iterable<unknown>, carries: Carries, depth: number): Problem | undefined {
  for (const item of items) {
    const problem = findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under('{}', problem)
  }
  return undefined
}

function className(value: object): string {
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' ? name : 'a class'
}
function cannot(what: string, carries: Carries): Problem {
  return here(`${what}, which ${carries.name} cannot carry: convert it, or use the encoding 'cbor'`)
}
function here(what: string): Problem {
  return { path: '', what }
}
function under(step: string, problem: Problem): Problem {
  return { path: step + problem.path, what: problem.what }
}
