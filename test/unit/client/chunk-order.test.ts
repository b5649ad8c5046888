import { describe, expect, it } from 'vitest'
import { createChunkOrder, type ChunkOrder } from '../../../client/chunk-order.ts'
import { HEADER } from '../../../protocol/headers.ts'
import type { Reply } from '../../../protocol/message.ts'

function replyOf(type: Reply['type'], sequence: number): Reply {
  return {
    correlationId: 'a',
    type,
    contentType: 'application/cbor',
    contentEncoding: undefined,
    headers: { [HEADER.sequence]: String(sequence) },
    body: new Uint8Array(),
  }
}
const chunk = (sequence: number): Reply => replyOf('chunk', sequence)
const end = (chunks: number): Reply => replyOf('end', chunks)

/** What can be taken now. */
function takeAll(order: ChunkOrder): string[] {
  const taken: string[] = []
  for (let next = order.take(); next !== undefined; next = order.take()) taken.push(next.headers[HEADER.sequence] ?? '')
  return taken
}

describe('the chunks of a run', () => {
  it('are given in their order, each once, whatever order they come in and however often', () => {
    const order = createChunkOrder()
    for (const sequence of [2, 0, 2, 0]) order.add(chunk(sequence))
    expect([takeAll(order), order.missing, order.hasNext]).toEqual([['0'], 1, false])
    for (const sequence of [0, 1, 4, 3, 1]) order.add(chunk(sequence))
    expect([order.hasNext, takeAll(order), order.missing]).toEqual([true, ['1', '2', '3', '4'], undefined])
  })

  it('are all there before what ends it is given, once', () => {
    const order = createChunkOrder()
    order.addFinal(end(3))
    order.add(chunk(0))
    order.add(chunk(2))
    expect(order.takeFinal()).toBeUndefined()
    order.add(chunk(1))
    expect(order.takeFinal()).toEqual(end(3))
    expect(order.takeFinal()).toBeUndefined()
    expect(takeAll(order)).toEqual(['0', '1', '2'])
  })

  it('of which there are none end at once', () => {
    const order = createChunkOrder()
    order.addFinal(end(0))
    expect(order.takeFinal()).toEqual(end(0))
  })

  it('that nobody reads are dropped, and those that come later are not mixed up', () => {
    const order = createChunkOrder()
    order.add(chunk(0))
    order.add(chunk(1))
    order.drop()
    expect([order.hasNext, takeAll(order)]).toEqual([false, []])
    order.add(chunk(2))
    expect(takeAll(order)).toEqual(['2'])
  })
})
