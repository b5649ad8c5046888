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

export function jsonOfMessage(message: Message, headers: Readonly<Record<string, string>> = message.headers): string {
  const { type: t, replyTo: r, contentType: c, contentEncoding: e } = message
  return JSON.stringify({ t, r, c, e, h: headers })
}

export function jsonOfReply({ type: t, contentType: c, contentEncoding: e, headers: h }: Reply): string {
  return JSON.stringify({ t, c, e, h })
}

/** Takes the blob over: the body is a view into it. */
export function decodeMessage(id: string, blob: Buffer): Message {
  const [json, body] = split(blob)
  const parsed = JSON.parse(json) as RequestJson // written by jsonOfMessage of this version, see `format`
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

/** Takes the blob over: the body is a view into it. */
export function decodeReply(correlationId: string, blob: Buffer): Reply {
  const [json, body] = split(blob)
  const parsed = JSON.parse(json) as ReplyJson // written by jsonOfReply of this version, see `format`
  return {
    correlationId,
    type: parsed.t,
    contentType: parsed.c,
    contentEncoding: parsed.e,
    headers: parsed.h,
    body,
  }
}

function split(blob: Buffer): [string, Uint8Array] {
  const bodyAt = LENGTH_BYTES + blob.readUInt32BE(0)
  const body = new Uint8Array(blob.buffer, blob.byteOffset + bodyAt, blob.length - bodyAt)
  return [blob.toString('utf8', LENGTH_BYTES, bodyAt), body]
}
