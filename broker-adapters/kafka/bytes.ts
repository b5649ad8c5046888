// Numbers and texts as Kafka's protocol has them: https://kafka.apache.org/protocol#protocol_types; big-endian, lengths of records
// as zigzag varints. Numbers of 64 bits are exact up to 2^53, beyond which no offset and no time gets.

const HIGH = 2 ** 32
const LONGEST_VARINT = 5
/** Up to here a loop is faster than the call into Node's buffers. */
const SHORT_TEXT = 40

/** Writes into a buffer that was made large enough. */
export class ByteWriter {
  readonly bytes: Buffer
  at = 0

  /** @param bound how much is written at most, bytes */
  constructor(bound: number) {
    this.bytes = Buffer.allocUnsafe(bound)
  }

  get written(): Buffer {
    return this.bytes.subarray(0, this.at)
  }

  int8(value: number): void {
    this.at = this.bytes.writeInt8(value, this.at)
  }
  int16(value: number): void {
    this.at = this.bytes.writeInt16BE(value, this.at)
  }
  int32(value: number): void {
    this.at = this.bytes.writeInt32BE(value, this.at)
  }
  int64(value: number): void {
    this.at = this.bytes.writeInt32BE(Math.floor(value / HIGH), this.at)
    this.at = this.bytes.writeUInt32BE(value >>> 0, this.at)
  }

  /** Behind its length of 16 bits. */
  string(text: string): void {
    const from = this.at
    const length = this.bytes.write(text, from + 2)
    this.int16(length)
    this.at += length
  }

  /** @param value of 32 bits */
  varint(value: number): void {
    let left = ((value << 1) ^ (value >> 31)) >>> 0
    while (left > 0x7f) {
      this.bytes[this.at++] = (left & 0x7f) | 0x80
      left >>>= 7
    }
    this.bytes[this.at++] = left
  }

  /** Null has the length -1. */
  sizedBytes(content: Buffer | null): void {
    this.varint(content?.length ?? -1)
    if (content !== null) this.at += content.copy(this.bytes, this.at)
  }

  sizedText(text: string): void {
    if (text.length <= SHORT_TEXT && this.asciiText(text)) return
    this.varint(Buffer.byteLength(text))
    this.at += this.bytes.write(text, this.at)
  }

  /** False, and nothing is written: it has other letters. */
  private asciiText(text: string): boolean {
    const { length } = text
    const from = this.at + 1 // a length below 64 takes one byte
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) return false
      this.bytes[from + index] = code
    }
    this.bytes[this.at] = length << 1
    this.at = from + length
    return true
  }

  /** What `write` writes, behind its length. */
  sized(write: () => void): void {
    const from = this.at
    this.at = from + LONGEST_VARINT
    write()
    const end = this.at
    this.at = from
    this.varint(end - from - LONGEST_VARINT)
    this.bytes.copyWithin(this.at, from + LONGEST_VARINT, end)
    this.at += end - from - LONGEST_VARINT
  }
}

/** @throws RangeError for what ends too early */
export class ByteReader {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  skip(length: number): void {
    this.at += length
  }

  int16(): number {
    const value = this.bytes.readInt16BE(this.at)
    this.at += 2
    return value
  }
  int32(): number {
    const value = this.bytes.readInt32BE(this.at)
    this.at += 4
    return value
  }
  int64(): number {
    const value = this.bytes.readInt32BE(this.at) * HIGH + this.bytes.readUInt32BE(this.at + 4)
    this.at += 8
    return value
  }

  /** Of up to 64 bits. */
  varint(): number {
    let factor = 1
    let value = 0
    for (;;) {
      const byte = this.bytes[this.at++]
      if (byte === undefined) throw new RangeError('a record ends too early')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      factor *= 128
    }
  }

  /** Null: it has the length -1. */
  sizedBytes(): Buffer | null {
    const length = this.varint()
    return length < 0 ? null : this.take(length)
  }

  /** What is missing is empty, and what is no UTF-8 is read all the same. */
  sizedText(): string {
    const length = this.varint()
    if (length <= 0) return ''
    const from = this.at
    this.skip(length)
    return this.bytes.toString('utf8', from, this.at)
  }

  /** A text behind its length of 16 bits. */
  string(): string {
    const length = this.int16()
    return length < 0 ? '' : this.take(length).toString('utf8')
  }

  /** Bytes behind their length of 32 bits. */
  bytes32(): Buffer {
    return this.take(Math.max(0, this.int32()))
  }

  /** Items behind their count of 32 bits. */
  list<T>(item: () => T): T[] {
    return Array.from({ length: this.int32() }, item)
  }

  take(length: number): Buffer {
    return this.bytes.subarray(this.at, (this.at += length))
  }
}
