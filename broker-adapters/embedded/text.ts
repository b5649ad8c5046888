/*
 * How texts are written, on the wire and in the store:
 *
 *     size   u8, or for 255 and more: u8 255 · u32
 *     text = size in bytes · UTF-8
 *
 * Most texts are short and ASCII, and there are a dozen in a message: byte by byte costs less than a call of Buffer.
 */
const LONG = 255
const MAX_SHORT = 64

/** No text and no size takes up more. */
export function maxBytesOfText(value: string): number {
  return 5 + value.length * 3
}

export function bytesOfText(value: string): number {
  if (isShortAscii(value)) return 1 + value.length
  const bytes = Buffer.byteLength(value)
  return (bytes < LONG ? 1 : 5) + bytes
}

/** Returns where it ends. */
export function writeSize(target: Buffer, at: number, size: number): number {
  if (size >= LONG) return target.writeUInt32BE(size, target.writeUInt8(LONG, at))
  target[at] = size
  return at + 1
}

/** Returns where it ends. */
export function writeText(target: Buffer, at: number, value: string): number {
  if (!isShortAscii(value)) {
    const from = writeSize(target, at, Buffer.byteLength(value))
    return from + target.write(value, from, 'utf8')
  }
  const { length } = value
  target[at] = length
  for (let index = 0; index < length; index++) target[at + 1 + index] = value.charCodeAt(index)
  return at + 1 + length
}

function isShortAscii(value: string): boolean {
  const { length } = value
  if (length > MAX_SHORT) return false
  for (let index = 0; index < length; index++) if (value.charCodeAt(index) > 127) return false
  return true
}

export function isLongSize(first: number): boolean {
  return first === LONG
}
