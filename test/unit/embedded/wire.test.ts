import { expect, test } from 'vitest'
import { createFrameParser } from '../../../broker-adapters/embedded/frame-parser.ts'
import { createFrameWriter } from '../../../broker-adapters/embedded/wire.ts'

/** Three frames, the last one larger than a chunk of the writer. */
function sample(): Buffer {
  const writer = createFrameWriter()
  writer
    .begin(7)
    .u8(200)
    .u32(0xffff_fffe)
    .num(2 ** 52 + 1)
    .str('äß€')
    .end()
  writer.begin(8).end()
  writer
    .begin(9)
    .bytes(new Uint8Array(200_000).fill(3))
    .str('end')
    .beginBytes()
    .str('ü'.repeat(130))
    .size(255)
    .bytes(new Uint8Array([1, 2]))
    .endBytes()
    .end()
  return Buffer.concat(writer.take())
}
function parseIn(data: Buffer, step: number): unknown[] {
  const seen: unknown[] = []
  const parse = createFrameParser((op, fields) => {
    if (op === 7) seen.push([fields.u8(), fields.u32(), fields.num(), fields.str()])
    else if (op === 8) seen.push('empty')
    else seen.push([fields.copy().length, fields.str(), fields.copy().toString('hex')])
  })
  for (let at = 0; at < data.length; at += step) parse(data.subarray(at, at + step))
  return seen
}

test.each([1, 2, 3, 5, 64, 70_000, 1_000_000])('frames survive being cut into pieces of %i bytes', (step) => {
  const long = Buffer.from('ü'.repeat(130))
  const inner = Buffer.concat([
    Buffer.from([255, 0, 0, 1, 4]),
    long,
    Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 2, 1, 2]),
  ])
  expect(parseIn(sample(), step)).toEqual([
    [200, 0xffff_fffe, 2 ** 52 + 1, 'äß€'],
    'empty',
    [200_000, 'end', inner.toString('hex')],
  ])
})

test('what cannot be a frame is a RangeError', () => {
  const parse = createFrameParser((_op, fields) => fields.u32())
  expect(() => parse(Buffer.from([0, 0, 0, 2, 1, 1]))).toThrow(RangeError)
  expect(() => createFrameParser(() => undefined)(Buffer.from([255, 255, 255, 255, 1]))).toThrow(RangeError)
})
