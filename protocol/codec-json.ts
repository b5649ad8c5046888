import type { Codec } from './codec.ts'
import { assertEncodable, CodecError, MAX_DEPTH, type Carries } from './encodable.ts'
import { messageOf } from './errors.ts'

const CARRIES: Carries = {
  name: 'JSON',
  dates: false,
  bigints: false,
  maps: false,
  sets: false,
  bytes: false,
  nonFinite: false,
  undefinedItems: false,
  loneSurrogates: true,
}

const text = new TextDecoder('utf-8', { fatal: true })

/** RFC 8259, UTF-8. `undefined` as a whole is an empty body; a property that is undefined is left out. */
export const jsonCodec: Codec = {
  contentType: 'application/json',

  encode(value) {
    assertEncodable(value, CARRIES)
    return value === undefined ? new Uint8Array(0) : stringify(value)
  },

  decode(body) {
    if (body.length === 0) return undefined
    const value = parse(body)
    assertShallow(value, 0)
    return value
  },

  join: (lists) =>
    Buffer.concat([
      Buffer.from('['),
      ...lists.flatMap((list, index) => [...(index === 0 ? [] : [Buffer.from(',')]), list.subarray(1, -1)]),
      Buffer.from(']'),
    ]),
}

function stringify(value: unknown): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(value))
  } catch (error) {
    throw new CodecError(`the value cannot be written as JSON: ${messageOf(error)}`)
  }
}

function parse(body: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(text.decode(body), (key, item: unknown) => {
      if (key === '__proto__') throw new CodecError("a key '__proto__' is not accepted")
      return item
    })
    return value
  } catch (error) {
    throw error instanceof CodecError ? error : new CodecError(`not readable as JSON: ${messageOf(error)}`)
  }
}

function assertShallow(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH) throw new CodecError(`JSON nested deeper than ${MAX_DEPTH} levels`)
  for (const item of Object.values(value)) assertShallow(item, depth + 1)
}
