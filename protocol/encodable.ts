import { messageOf } from './errors.ts'

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
  /** Text with half of a surrogate pair, which UTF-8 has no bytes for. */
  readonly loneSurrogates: boolean
}

/** Arrays, objects, maps and sets around a value, at most. */
export const MAX_DEPTH = 64
/** Reading a big integer takes time that grows with the square of its length: a long one would stop the process. */
export const MAX_BIGINT_BYTES = 1024

/** The value cannot be carried, or the bytes cannot be read; the message ends a sentence. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}

/**
 * Refuses what the codec would silently change: class instances become empty objects in CBOR, dates strings in JSON.
 * Throws a CodecError that names the path. Cycles end at the depth limit.
 */
export function assertEncodable(value: unknown, carries: Carries): void {
  const problem = findProblemSafely(value, carries)
  if (problem === undefined) return
  const path = problem.path.replace(/^\./, '').slice(0, MAX_PATH)
  throw new CodecError(`${path === '' ? 'the value' : `the value at ${path}`} ${problem.what}`)
}

const MAX_PATH = 200
const BAD_TEXT = 'holds half of a surrogate pair, which is no text'
const BIGINT_BOUND = 1n << BigInt(MAX_BIGINT_BYTES * 8)

interface Problem {
  readonly path: string
  readonly what: string
}

/** Getters and proxies run the user's code. */
function findProblemSafely(value: unknown, carries: Carries): Problem | undefined {
  try {
    return findProblem(value, carries, 0)
  } catch (error) {
    return here(`cannot be read: ${messageOf(error)}`)
  }
}

function findProblem(value: unknown, carries: Carries, depth: number): Problem | undefined {
  switch (typeof value) {
    case 'string':
      return carries.loneSurrogates || value.isWellFormed() ? undefined : here(BAD_TEXT)
    case 'boolean':
    case 'undefined':
      return undefined
    case 'number':
      return Number.isFinite(value) || carries.nonFinite ? undefined : cannot(`is ${value}`, carries)
    case 'bigint':
      return carries.bigints ? findInBigInt(value) : cannot('is a BigInt', carries)
    case 'object':
      return value === null ? undefined : findInObject(value, carries, depth)
    default:
      return here(`is a ${typeof value}, which no message can carry`)
  }
}

function findInBigInt(value: bigint): Problem | undefined {
  return value < BIGINT_BOUND && value > -BIGINT_BOUND
    ? undefined
    : here(`is a BigInt of more than ${MAX_BIGINT_BYTES} bytes`)
}

/** The prototype decides: an instance of a subclass would come out as one of its base class. */
function findInObject(value: object, carries: Carries, depth: number): Problem | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (value instanceof Uint8Array) return carries.bytes ? undefined : cannot('is a Uint8Array', carries)
  if (prototype === Date.prototype) return carries.dates ? undefined : cannot('is a Date', carries)
  if (depth >= MAX_DEPTH) return here(`is nested deeper than ${MAX_DEPTH} levels, or contains itself`)
  if (prototype === Object.prototype || prototype === null) return findInRecord(value, carries, depth)
  if (Array.isArray(value) && prototype === Array.prototype) return findInArray(value, carries, depth)
  if (value instanceof Map && prototype === Map.prototype)
    return carries.maps ? findInMap(value, carries, depth) : cannot('is a Map', carries)
  if (value instanceof Set && prototype === Set.prototype)
    return carries.sets ? findInItems(value, carries, depth) : cannot('is a Set', carries)
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
    if (!carries.loneSurrogates && !key.isWellFormed()) return here(`has a key that ${BAD_TEXT}`)
    const problem = findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under(`.${key}`, problem)
  }
  return undefined
}

function findInMap(map: ReadonlyMap<unknown, unknown>, carries: Carries, depth: number): Problem | undefined {
  for (const [key, item] of map) {
    const problem = findProblem(key, carries, depth + 1) ?? findProblem(item, carries, depth + 1)
    if (problem !== undefined) return under(`{${keyName(key)}}`, problem)
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

function keyName(key: unknown): string {
  if (typeof key === 'function') return 'a function'
  return typeof key === 'object' && key !== null ? 'an object' : String(key)
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
