import { CodecError, MAX_DEPTH } from './encodable.ts'

/**
 * Walks the structure of CBOR bytes (RFC 8949, section 3) before they are decoded. The decoder has no switch against its
 * own extensions and trusts declared lengths, so a stranger's bytes are checked here: known tags only, depth ≤ 64, every
 * length within the body, nothing behind the first item.
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

/** Date as text and as number, big integers, Set, Map. */
const TAGS = new Set([0, 1, 2, 3, 258, 259])

const INDEFINITE = -1
const BREAK = 0xff

function scanItem(cursor: Cursor, depth: number): void {
  if (depth > MAX_DEPTH) throw new CodecError(`CBOR nested deeper than ${MAX_DEPTH} levels`)
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
      return skip(cursor, argument)
    case 4: // array
      return scanItems(cursor, argument, 1, depth)
    case 5: // map
      return scanItems(cursor, argument, 2, depth)
    case 6: // tag
      if (!TAGS.has(argument)) throw new CodecError(`CBOR tag ${argument} is not accepted`)
      return scanItem(cursor, depth + 1)
    default:
      return checkSimple(head)
  }
}

function scanItems(cursor: Cursor, count: number, perEntry: number, depth: number): void {
  if (count !== INDEFINITE) {
    if (count * perEntry > cursor.body.length - cursor.at)
      throw new CodecError('CBOR length is larger than the message')
    for (let left = count * perEntry; left > 0; left--) scanItem(cursor, depth + 1)
    return
  }
  while (cursor.body[cursor.at] !== BREAK) {
    for (let left = perEntry; left > 0; left--) scanItem(cursor, depth + 1)
  }
  cursor.at++
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

function next(cursor: Cursor): number {
  const byte = cursor.body[cursor.at++]
  if (byte === undefined) throw new CodecError('CBOR ends in the middle of an item')
  return byte
}
