import type { Message, Reply, ReplyType } from '../../protocol/message.ts'

/*
 * An envelope, as it is stored and sent: u32 bytes of JSON · JSON · body.
 * The id travels beside it, because the hub needs it.
 */
interface RequestJson {
  readonly t: Message['type']
  readonly r?: string
  readonly c: string
  readonly e?: string
  readonly h: Record<string, string>
}
interface ReplyJson {
  readonly t: ReplyType
  readonly c: string
  readonly e?: string
  readonly h: Record<string, string>
}

const LENGTH_BYTES = 4

export function encodeMessage(message: Message, headers: Readonly<Record<string, string>> = message.headers): Buffer {
  return join(
    JSON.stringify({
      t: message.type,
      r: message.replyTo,
      c: message.contentType,
      e: message.contentEncoding,
      h: headers,
    }),
    message.body,
  )
}

/** Takes the blob over: the body is a view into it. */
export function decodeMessage(id: string, blob: Buffer): Message {
  const [json, body] = split(blob)
  const parsed = JSON.parse(json) as RequestJson // written by encodeMessage of this version, see `format`
  return {
    id,
    type: parsed.t,
    replyTo: parsed.r,
    contentType: parsed.c,
    contentEncoding: parsed.e,
    headers: parsed.h,
    body,
  }
}

export function encodeReply(reply: Reply): Buffer {
  return join(
    JSON.stringify({ t: reply.type, c: reply.contentType, e: reply.contentEncoding, h: reply.headers }),
    reply.body,
  )
}

/** Takes the blob over: the body is a view into it. */
export function decodeReply(correlationId: string, blob: Buffer): Reply {
  const [json, body] = split(blob)
  const parsed = JSON.parse(json) as ReplyJson // written by encodeReply of this version, see `format`
  return {
    correlationId,
    type: parsed.t,
    contentType: parsed.c,
    contentEncoding: parsed.e,
    headers: parsed.h,
    body,
  }
}

function join(json: string, body: Uint8Array): Buffer {
  // Three bytes are enough for each UTF-16 unit; what is too much is cut off.
  const blob = Buffer.allocUnsafe(LENGTH_BYTES + json.length * 3 + body.length)
  const length = blob.write(json, LENGTH_BYTES, 'utf8')
  blob.writeUInt32BE(length, 0)
  blob.set(body, LENGTH_BYTES + length)
  return blob.subarray(0, LENGTH_BYTES + length + body.length)
}

function split(blob: Buffer): [string, Uint8Array] {
  const bodyAt = LENGTH_BYTES + blob.readUInt32BE(0)
  const body = new Uint8Array(blob.buffer, blob.byteOffset + bodyAt, blob.length - bodyAt)
  return [blob.toString('utf8', LENGTH_BYTES, bodyAt), body]
}
