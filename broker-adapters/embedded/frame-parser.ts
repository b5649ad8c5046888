import { CHUNK_BYTES, createFieldsReader, HEADER_BYTES, MAX_FRAME_BYTES, type FrameReader } from './wire.ts'

/** Cuts what a socket receives into frames. Throws RangeError for what cannot be a frame; the connection is then ended. */
export function createFrameParser(
  onFrame: (op: number, fields: FrameReader) => void,
  /** Asked at each frame. */
  maxBytes: () => number = () => MAX_FRAME_BYTES,
): (chunk: Buffer) => void {
  const fields = createFieldsReader()
  let partial: Buffer | undefined
  let partialBytes = 0
  /** Of the whole frame. Memory for it is taken as it comes: a length alone costs nothing. */
  let partialLength = 0
  let head: Buffer = Buffer.alloc(0)

  function emit(source: Buffer, from: number, to: number): void {
    fields.read(source, from + 1, to)
    onFrame(source.readUInt8(from), fields)
  }
  /** Continues the frame that earlier chunks began; returns how much of the chunk it took. */
  function fill(chunk: Buffer): number {
    if (partial === undefined) return 0
    const taken = Math.min(chunk.length, partialLength - partialBytes)
    if (partialBytes + taken > partial.length) partial = grown(partial, partialBytes + taken)
    chunk.copy(partial, partialBytes, 0, taken)
    partialBytes += taken
    if (partialBytes === partialLength) {
      const whole = partial
      partial = undefined
      emit(whole, 0, partialLength)
    }
    return taken
  }

  function grown(buffer: Buffer, needed: number): Buffer {
    const next = Buffer.allocUnsafeSlow(Math.min(partialLength, Math.max(needed, buffer.length * 2)))
    buffer.copy(next, 0, 0, partialBytes)
    return next
  }

  return (chunk) => {
    let source = chunk
    let from = fill(source)
    if (head.length > 0) {
      source = Buffer.concat([head, source])
      head = Buffer.alloc(0)
    }
    while (source.length - from >= HEADER_BYTES) {
      const length = source.readUInt32BE(from)
      if (length < 1 || length > maxBytes()) throw new RangeError(`a frame of ${length} bytes`)
      from += HEADER_BYTES
      if (source.length - from < length) {
        partial = Buffer.allocUnsafeSlow(Math.min(length, Math.max(CHUNK_BYTES, source.length - from)))
        partialLength = length
        partialBytes = source.copy(partial, 0, from)
        return
      }
      emit(source, from, from + length)
      from += length
    }
    if (from < source.length) head = Buffer.from(source.subarray(from))
  }
}
