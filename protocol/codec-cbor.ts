import { Encoder } from 'cbor-x'
import { scanCbor } from './cbor-scan.ts'
import type { Codec } from './codec.ts'
import { assertEncodable, CodecError, type Carries } from './encodable.ts'
import { messageOf } from './errors.ts'

/** Plain RFC 8949: no records, no tag around byte strings; Map is tag 259 and Set tag 258 of the IANA registry. */
const cborX = new Encoder({
  useRecords: false,
  tagUint8Array: false,
  mapsAsObjects: true,
  copyBuffers: true,
  variableMapSize: true,
})

const CARRIES: Carries = {
  name: 'CBOR',
  dates: true,
  bigints: true,
  maps: true,
  sets: true,
  bytes: true,
  nonFinite: true,
  undefinedItems: true,
  loneSurrogates: false,
}

/** Carries Date, BigInt, Map, Set, Uint8Array, undefined, NaN and infinities. `-0` becomes `0`. */
export const cborCodec: Codec = {
  contentType: 'application/cbor',

  encode(value) {
    assertEncodable(value, CARRIES)
    return encodeChecked(value)
  },

  decode(body) {
    const hasBytes = scanCbor(body)
    const value = decodeScanned(body)
    return hasBytes ? withoutBuffers(value) : value
  },

  /** RFC 8949, 3: major type 4, the count in the first byte or in the one behind it; a list of one is 0x81 and its item. */
  join(lists) {
    const head = lists.length < 24 ? [0x80 | lists.length] : [0x98, lists.length]
    return Buffer.concat([Uint8Array.from(head), ...lists.map((list) => list.subarray(1))])
  },
}

function encodeChecked(value: unknown): Uint8Array {
  try {
    return cborX.encode(value)
  } catch (error) {
    throw new CodecError(`the value cannot be written as CBOR: ${messageOf(error)}`)
  }
}

function decodeScanned(body: Uint8Array): unknown {
  try {
    const value: unknown = cborX.decode(body)
    return value
  } catch (error) {
    throw new CodecError(`not readable as CBOR: ${messageOf(error)}`)
  }
}

/** cbor-x gives Buffers in Node; users get Uint8Arrays, which behave differently in `slice` and `toString`. */
function withoutBuffers(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (Array.isArray(value)) return value.map(withoutBuffers)
  if (value instanceof Map)
    return new Map(Array.from(value, ([key, item]) => [withoutBuffers(key), withoutBuffers(item)]))
  if (value instanceof Set) return new Set(Array.from(value, withoutBuffers))
  if (value instanceof Date) return value
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === 'object') Reflect.set(value, key, withoutBuffers(item))
  }
  return value
}
