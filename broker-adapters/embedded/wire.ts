import { isLongSize, maxBytesOfText, writeSize, writeText } from './text.ts'

/**
 * What a process and its hub say to each other over the socket, both ways:
 *
 *     frame   = u32 length of what follows · u8 op · fields
 *     numbers   big-endian; `num` is a float64, exact up to 2^53
 *     str     = a text of text.ts, and `size` a size
 *     bytes   = u32 bytes · bytes
 *
 * The fields of each op stand beside it. `seq` ties an answer to its request; `tag` = num message · u32 grant, which
 * together name one hand-over. A `blob` is `bytes` that hold an envelope of envelope.ts, opaque to the hub; a `placing` is
 * one of placing.ts.
 */
export const OP = {
  /** Both ways, no fields: shows that one lives. Every PING is answered by a PONG. */
  PING: 1,
  PONG: 2,
  /** str JSON of Hello. */
  HELLO: 3,
  /** str JSON of Welcome. */
  WELCOME: 4,
  /** u32 seq · fields by the request. */
  ANSWER: 5,
  /** Hub → process: keep a warm standby. */
  STAND_BY: 6,
  /** u32 seq: this connection ends; its answer is the last thing that is sent. */
  BYE: 7,
  /** u32 seq · str queue → empty. */
  DECLARE: 10,
  /** u32 seq · str queue · u32 n · n × (str id · str generation · num delayMs · num expiresInMs · placing · bytes blob) → n × u8 status · str reason. */
  PUBLISH: 11,
  /** u32 seq · u32 subscription · str queue · u32 prefetch · u8 paused · u32 n · n × tag → n × u8 kept. */
  CONSUME: 12,
  /** u32 subscription · u8 flow. */
  FLOW: 13,
  /** No fields: every subscription is in place; what was not resumed goes back. */
  RESUMED: 14,
  /** u32 subscription · tag · bytes record of records.ts · [num fence, with a key]; grant 1 is the first hand-over ever. */
  DELIVER: 15,
  /** u32 n · n × tag; an ACK also of what a reply has settled: only then another is handed out for it. */
  ACK: 16,
  RELEASE: 17,
  /** u32 seq · tag · num delayMs · bytes blob → empty. */
  RETRY: 18,
  /** u32 seq · tag · str code · str reason · u32 attempts → empty. */
  DEAD_LETTER: 19,
  /** u32 seq · u32 inbox · str address · num leaseMs → u8 recreated, after the replies that waited. */
  OPEN_INBOX: 20,
  /** u32 seq · str address → empty. */
  CLOSE_INBOX: 21,
  /** u32 seq · str address · u32 n · n × (str correlationId · u8 kind · bytes blob) → n × u8 status. */
  REPLY: 22,
  /** u32 inbox · num reply · str correlationId · bytes blob. */
  REPLIED: 23,
  /** u32 n · n × num reply. */
  TAKEN: 24,
  /**
   * u32 seq · u32 reader · str name · str maker · num createForMs (-1: never) · u8 isReading (it comes back) →
   * u8 isFound · num keepMs (-1: there is none), after the outcome.
   */
  OPEN_MAILBOX: 25,
  /** u32 reader. */
  CLOSE_MAILBOX: 26,
  /** u32 reader · str correlationId · bytes blob. */
  MAILED: 27,
  /** u32 seq · str queue · str id → u8. */
  REMOVE: 30,
  /** u32 seq · str queue · str id · str code · str reason · u32 attempts · bytes blob → empty. */
  PARK: 31,
  /** str topic · bytes. */
  BROADCAST: 32,
  /** u32 seq · str topic → empty. */
  LISTEN: 33,
  /** str topic. */
  UNLISTEN: 34,
  /** u32 seq · str queue → str JSON of QueueStats. */
  STATS: 35,
  /** u32 seq · str queue · str what → u32. */
  PURGE: 36,
  /** u32 seq · str queue · str JSON of LetterFilter · num after → u32 n · n × letter · num next (0: the end). */
  LETTERS: 37,
  /** u32 seq · str queue · str JSON of LetterFilter → u32. */
  PURGE_LETTERS: 38,
  /** u32 seq · u32 subscription · str queue → u32: 1 if something waits that it should have got. Answered in order, behind what was handed out before. */
  STARVED: 39,
  /** u32 seq · str queue · u8 keyed · u8 priority · str JSON of LetterFilter → u32. */
  REPLAY_LETTERS: 40,
  /** u32 seq · str queue · u8 paused → empty. */
  SET_PAUSED: 41,
} as const

/** The statuses of a PUBLISH answer, by number. */
export const PUBLISH_STATUS = ['stored', 'unroutable', 'tooLarge', 'refused', 'unknown'] as const
/**
 * What a REPLY says of each reply, by number. An error may say that the call did not run and never will: its caller hears
 * it when the request is gone for good, not before. A result claims nothing that a second run would contradict.
 */
export const REPLY_KIND = ['on the way', 'result', 'error'] as const
export type ReplyKind = (typeof REPLY_KIND)[number]

/** The statuses of a REPLY answer, by number; 'settled': stored, and the request it answers is done with. */
export const REPLY_STATUS = ['stored', 'gone', 'settled'] as const
export const FLOW = { pause: 0, resume: 1, stop: 2 } as const

export interface Hello {
  readonly format: number
  readonly session: string
  readonly pid: number
  readonly startTime: string
  readonly pidNamespace: string
  readonly canHost: boolean
}

export interface Welcome {
  readonly epoch: number
  readonly durability: 'disk' | 'process'
}

export const HEADER_BYTES = 4
export const CHUNK_BYTES = 64 * 1024
export const MAX_FRAME_BYTES = 1024 * 1024 * 1024
/** Queues, topics, addresses, ids: what LMDB takes as a key, with room for what is put before it. */
const MAX_NAME_BYTES = 1024

/** Collects frames; `take` gives what was collected since the last time, in few large pieces. */
export interface FrameWriter {
  begin(op: number): FrameWriter
  u8(value: number): FrameWriter
  u32(value: number): FrameWriter
  num(value: number): FrameWriter
  str(value: string): FrameWriter
  size(value: number): FrameWriter
  bytes(value: Uint8Array): FrameWriter
  /** What is written until `endBytes` is one `bytes`; not nested. */
  beginBytes(): FrameWriter
  endBytes(): FrameWriter
  end(): void
  take(): Uint8Array[]
  readonly pendingBytes: number
}

/** Written regions are never reused, so a piece may be given to a socket as it is. */
export function createFrameWriter(): FrameWriter {
  let chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let start = 0
  let frame = 0
  let at = 0
  /** Where `beginBytes` was called, from the beginning of the frame. */
  let bytesAt = 0
  const full: Uint8Array[] = []
  let fullBytes = 0

  function room(bytes: number): void {
    if (at + bytes <= chunk.length) return
    // The frame that is being written moves along: a frame is always in one piece until `end`.
    const written = at - frame
    if (frame > start) {
      full.push(chunk.subarray(start, frame))
      fullBytes += frame - start
    }
    const next: Buffer = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, (written + bytes) * 2))
    chunk.copy(next, 0, frame, at)
    chunk = next
    start = 0
    frame = 0
    at = written
  }

  const writer: FrameWriter = {
    get pendingBytes() {
      return fullBytes + at - start
    },
    begin(op) {
      frame = at
      room(HEADER_BYTES + 1)
      at += HEADER_BYTES
      chunk[at++] = op
      return writer
    },
    u8(value) {
      room(1)
      chunk[at++] = value
      return writer
    },
    u32(value) {
      room(4)
      at = chunk.writeUInt32BE(value, at)
      return writer
    },
    num(value) {
      room(8)
      at = chunk.writeDoubleBE(value, at)
      return writer
    },
    size(value) {
      room(5)
      at = writeSize(chunk, at, value)
      return writer
    },
    str(value) {
      room(maxBytesOfText(value))
      at = writeText(chunk, at, value)
      return writer
    },
    bytes(value) {
      room(4 + value.length)
      chunk.writeUInt32BE(value.length, at)
      chunk.set(value, at + 4)
      at += 4 + value.length
      return writer
    },
    beginBytes() {
      room(4)
      bytesAt = at - frame
      at += 4
      return writer
    },
    endBytes() {
      const from = frame + bytesAt
      chunk.writeUInt32BE(at - from - 4, from)
      return writer
    },
    end() {
      chunk.writeUInt32BE(at - frame - HEADER_BYTES, frame)
      frame = at
    },
    take() {
      const pieces = full.splice(0)
      fullBytes = 0
      if (at > start) pieces.push(chunk.subarray(start, at))
      start = at
      frame = at
      return pieces
    },
  }
  return writer
}

/** Reads the fields of one frame in order; throws RangeError past its end. */
export interface FrameReader {
  u8(): number
  u32(): number
  num(): number
  /** Leaves out so many bytes. */
  skip(bytes: number): void
  size(): number
  str(): string
  /** A `str` of at most 1024 bytes. @default minBytes 1 */
  name(minBytes?: number): string
  /** A `u32` of entries that have so many bytes at least: what announces more than is there costs nothing. */
  count(minBytes: number): number
  /** A view: copy what is kept, or it keeps the whole chunk of the socket alive. */
  view(): Buffer
  /** The same, as a copy of its own. */
  copy(): Buffer
  /** A view of all that is left. */
  rest(): Buffer
  /** `bytes` that are small mostly and kept: copied into a piece of memory that they share with their like. */
  body(): Uint8Array
}

export interface FieldsReader extends FrameReader {
  read(source: Buffer, from: number, to: number): void
}

const SLAB_BYTES = 32 * 1024
const MAX_SLAB_BODY = 4 * 1024

/** Reads frame after frame. */
export function createFieldsReader(): FieldsReader {
  let data: Buffer = Buffer.alloc(0)
  let at = 0
  let end = 0
  let slab = new ArrayBuffer(0)
  let slabUsed = 0

  function need(bytes: number): number {
    const from = at
    if (from + bytes > end) throw new RangeError('a frame is shorter than its fields')
    at = from + bytes
    return from
  }
  const fields: FieldsReader = {
    read(source, from, to) {
      data = source
      at = from
      end = to
    },
    u8: () => data.readUInt8(need(1)),
    u32: () => data.readUInt32BE(need(4)),
    num: () => data.readDoubleBE(need(8)),
    skip: (bytes) => void need(bytes),
    size() {
      const first = data.readUInt8(need(1))
      return isLongSize(first) ? data.readUInt32BE(need(4)) : first
    },
    str() {
      const length = fields.size()
      if (length === 0) return ''
      const from = need(length)
      return data.toString('utf8', from, from + length)
    },
    name(minBytes = 1) {
      const from = at
      const length = fields.size()
      if (length < minBytes || length > MAX_NAME_BYTES) throw new RangeError(`a name of ${length} bytes`)
      at = from
      return fields.str()
    },
    count(minBytes) {
      const count = fields.u32()
      if (count * minBytes > end - at) throw new RangeError(`${count} entries announced, more than the frame holds`)
      return count
    },
    view() {
      const length = data.readUInt32BE(need(4))
      const from = need(length)
      return data.subarray(from, from + length)
    },
    copy: () => Buffer.from(fields.view()),
    rest: () => data.subarray(need(end - at), end),
    body() {
      const view = fields.view()
      const { length } = view
      if (length > MAX_SLAB_BODY) return new Uint8Array(view)
      if (slabUsed + length > slab.byteLength) {
        slab = new ArrayBuffer(SLAB_BYTES)
        slabUsed = 0
      }
      const body = new Uint8Array(slab, slabUsed, length)
      body.set(view)
      slabUsed += length
      return body
    },
  }
  return fields
}

/** The fields of what is not a frame, but written like one: a record, an envelope. */
export function fieldsOf(source: Buffer): FrameReader {
  const fields = createFieldsReader()
  fields.read(source, 0, source.length)
  return fields
}
