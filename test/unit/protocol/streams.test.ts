import { expect, test } from 'vitest'
import { cborCodec } from '../../../protocol/codec-cbor.ts'
import { jsonCodec } from '../../../protocol/codec-json.ts'
import { MAX_CHUNK_ITEMS } from '../../../protocol/stream.ts'

test.each([
  ['cbor', cborCodec],
  ['json', jsonCodec],
])('%s: lists of one item each are joined to one list', (_, codec) => {
  for (const count of [0, 1, 2, 23, 24, 25, MAX_CHUNK_ITEMS, 255]) {
    const items = Array.from({ length: count }, (_item, n) => (n % 3 === 0 ? [n] : { n, text: 'x'.repeat(n) }))
    expect(codec.decode(codec.join(items.map((item) => codec.encode([item]))))).toEqual(items)
  }
})
