import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { codecOf, type Encoding } from '../../protocol/codec.ts'
import { HEADER, WIRE_VERSION } from '../../protocol/headers.ts'
import { encodeWireError, parseWireError } from '../../protocol/wire-errors.ts'
import { BODIES, CBOR_BODIES, ERROR_REPLY } from './golden-values.ts'

type Bytes = Readonly<Record<string, string>>

function readGolden(name: string): Bytes {
  const golden: Bytes = JSON.parse(readFileSync(new URL(`./${name}.golden.json`, import.meta.url), 'utf8'))
  return golden
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

// A change of these bytes is a change of the protocol: programs of both versions talk to each other. If it is meant, raise
// WIRE_VERSION and write the file anew.
describe.each([
  ['cbor', CBOR_BODIES],
  ['json', BODIES],
] as const)('%s bodies', (encoding: Encoding, bodies) => {
  const golden = readGolden(encoding)
  const codec = codecOf(encoding)

  test('are all pinned', () => expect(Object.keys(golden)).toEqual(Object.keys(bodies)))
  test.each(Object.keys(bodies))('%s', (name) => {
    expect(hex(codec.encode(bodies[name]))).toBe(golden[name])
    expect(codec.decode(Buffer.from(golden[name] ?? '', 'hex'))).toEqual(bodies[name])
  })
})

describe.each(['cbor', 'json'] as const)('an error reply in %s', (encoding) => {
  const golden = readGolden('error-reply')
  const codec = codecOf(encoding)

  test.each(['error', 'declared'] as const)('%s', (kind) => {
    const pinned = golden[`${kind} ${encoding}`] ?? ''
    expect(hex(encodeWireError(ERROR_REPLY[kind], codec))).toBe(pinned)
    expect(parseWireError(codec.decode(Buffer.from(pinned, 'hex')))).toEqual(ERROR_REPLY[kind])
  })
})

test('the headers of a reply and the names of all headers', () => {
  const golden = readGolden('headers')
  const { version, attempt, worker } = HEADER
  expect({ [version]: WIRE_VERSION, [attempt]: '2', [worker]: 'worker-1' }).toEqual(ERROR_REPLY.headers)
  expect(HEADER).toEqual(golden)
})
