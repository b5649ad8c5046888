import type { Codec } from './codec.ts'
import { assertEncodable, CodecError, MAX_DEPTH, type Carries } from './encodable.ts'

const CARRIES: Carries = {
  name: 'JSON',
  dates: false,
  bigints: false,
  maps: false,
  sets: false,
  bytes: false,
  nonFinite: false,
  undefinedItems: false,
}

const text = new TextDecoder('utf-8', { fatal: true })

/** RFC 8259, UTF-8. `undefined` as a whole is an empty body; a property that is undefined is left out. */
export const jsonCodec: Codec = {
  contentType: 'application/json',

  encode(value) {
    assertEncodable(value, CARRIES)
    return value === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(value))
  },

  decode(body) {
    if (body.length === 0) return undefined
    const value = parse(body)
    assertShallow(value, 0)
    return value
  },
}

function parse(body: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(text.decode(body), (key, item: unknown) => {
      if (key === '__proto__') throw new CodecError("a key '__proto__' is not accepted")
      return item
    })
    return value
  } catch (error) {
    throw error instanceof CodecError
      ? error
      : new CodecError(`not readable as JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function assertShallow(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH) throw new CodecError(`JSON nested deeper than ${MAX_DEPTH} levels`)
  for (const item of Object.values(value)) assertShallow(item, depth + 1)
}
