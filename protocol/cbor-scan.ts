import { isUtf8 } from 'node:buffer'
import { CodecError, MAX_BIGINT_BYTES, MAX_DEPTH } from './encodable.ts'

/**
 * Walks the structure of CBOR bytes (RFC 8949, section 3) before they are decoded. The decoder has no switch against its
 * own extensions and trusts declared lengths, so a stranger's bytes are checked here: known tags around what they are made
 * for, depth ≤ 64 (tags do not count), every length within the body, text that is UTF-8, no key `__proto__`, no big integer
 * that takes seconds to read, nothing behind the first item.
 *
 * Item = head byte (major type << 5 | info) [argument of 1, 2, 4 or 8 bytes] [content].
 *
 * @returns whether byte strings occur, which the decoder hands out as Buffers.
 */
export function scanCbor(body: Uint8Array): boolean {
  const cursor: Cursor = { body, at: 0, sawBytes: false }
  scanItem(cursor, 0)
  if (cursor.at !== body.length) throw new CodecError(`${body.length - cursor.at} bytes follow the CBOR item`)
  return cursor.sawBytes
}

interface Cursor {
  readonly body: Uint8Array
  at: number
  sawBytes: boolean
}

const INDEFINITE = -1
const BREAK = 0xff

function scanItem(cursor: Cursor, depth: number): void {
  const head = next(cursor)
  const major = head >> 5
  const argument = readArgument(cursor, head & 0x1f)
  switch (major) {
    case 0: // unsigned
    case 1: // negative
      if (argument === INDEFINITE) throw new CodecError('CBOR number without a length')
      return
    case 2: // bytes
      cursor.sawBytes = true
      return skip(cursor, argument)
    case 3: // text
      return skipText(cursor, argument)
    case 4: // array
      return scanEntries(cursor, argument, 'array', depth)
    case 5: // map
      return scanEntries(cursor, argument, 'object', depth)
    case 6: // tag
      return scanTagged(cursor, argument, depth)
    default:
      return checkSimple(head)
  }
}

function scanTagged(cursor: Cursor, tag: number, depth: number): void {
  const head = cursor.body[cursor.at] ?? 0
  const major = head >> 5
  switch (tag) {
    case 0: // date as text
      return scanTaggedItem(cursor, tag, major === 3, depth)
    case 1: // date as seconds
      return scanTaggedItem(cursor, tag, major < 2 || (head >= 0xf9 && head <= 0xfb), depth)
    case 2: // big integer
    case 3: // negative big integer
      return scanBigInt(cursor, tag, head)
    case 258: // Set
      return scanTaggedItem(cursor, tag, major === 4, depth)
    case 259: // Map
      if (major !== 5) throw new CodecError(`CBOR tag ${tag} around what it is not made for`)
      cursor.at++
      return scanEntries(cursor, readArgument(cursor, head & 0x1f), 'map', depth)
    default:
      throw new CodecError(`CBOR tag ${tag} is not accepted`)
  }
}

function scanTaggedItem(cursor: Cursor, tag: number, fits: boolean, depth: number): void {
  if (!fits) throw new CodecError(`CBOR tag ${tag} around what it is not made for`)
  scanItem(cursor, depth)
}

function scanBigInt(cursor: Cursor, tag: number, head: number): void {
  if (head >> 5 !== 2) throw new CodecError(`CBOR tag ${tag} around what it is not made for`)
  cursor.at++
  const length = readArgument(cursor, head & 0x1f)
  if (length > MAX_BIGINT_BYTES) throw new CodecError(`CBOR big integer of more than ${MAX_BIGINT_BYTES} bytes`)
  skip(cursor, length)
}

/** The entries of an array are items, those of an object and a map a key and an item. */
function scanEntries(cursor: Cursor, count: number, kind: 'array' | 'object' | 'map', depth: number): void {
  if (depth >= MAX_DEPTH) throw new CodecError(`CBOR nested deeper than ${MAX_DEPTH} levels`)
  if (count === INDEFINITE) {
    while (cursor.body[cursor.at] !== BREAK) scanEntry(cursor, kind, depth + 1)
    cursor.at++
    return
  }
  if (count * (kind === 'array' ? 1 : 2) > cursor.body.length - cursor.at)
    throw new CodecError('CBOR length is larger than the message')
  for (let left = count; left > 0; left--) scanEntry(cursor, kind, depth + 1)
}

function scanEntry(cursor: Cursor, kind: 'array' | 'object' | 'map', depth: number): void {
  if (kind === 'object') scanKey(cursor, depth)
  if (kind === 'map') scanItem(cursor, depth)
  scanItem(cursor, depth)
}

const PROTO = Buffer.from('__proto__')

/** The decoder would rename the key that JavaScript gives a meaning of its own. */
function scanKey(cursor: Cursor, depth: number): void {
  const head = cursor.body[cursor.at] ?? 0
  if (head >> 5 !== 3) return scanItem(cursor, depth)
  cursor.at++
  const length = readArgument(cursor, head & 0x1f)
  skipText(cursor, length)
  const from = cursor.at - length
  if (length === PROTO.length && PROTO.every((byte, index) => cursor.body[from + index] === byte))
    throw new CodecError("a key '__proto__' is not accepted")
}

/** false, true, null, undefined and floats. */
function checkSimple(head: number): void {
  const info = head & 0x1f
  if ((info < 20 || info > 23) && (info < 25 || info > 27))
    throw new CodecError(`CBOR simple value ${info} is not accepted`)
}

function readArgument(cursor: Cursor, info: number): number {
  if (info < 24) return info
  if (info === 31) return INDEFINITE
  if (info > 27) throw new CodecError(`CBOR head with the reserved length ${info}`)
  let value = 0
  for (let left = 1 << (info - 24); left > 0; left--) value = value * 256 + next(cursor)
  return value
}

function skip(cursor: Cursor, length: number): void {
  if (length === INDEFINITE) throw new CodecError('CBOR strings of indefinite length are not accepted')
  if (length > cursor.body.length - cursor.at) throw new CodecError('CBOR length is larger than the message')
  cursor.at += length
}

/** Most text is short and ASCII: asking the runtime costs more than looking. */
const LOOK_BYTES = 64

function skipText(cursor: Cursor, length: number): void {
  skip(cursor, length)
  const { body, at } = cursor
  let from = at - length
  if (length <= LOOK_BYTES) while (from < at && (body[from] ?? 0) < 0x80) from++
  if (from < at && !isUtf8(body.subarray(from, at))) throw new CodecError('CBOR text that is not UTF-8')
}

function next(cursor: Cursor): number {
  const byte = cursor.body[cursor.at++]
  if (byte === undefined) throw new CodecError('CBOR ends in the middle of an item')
  return byte
}
