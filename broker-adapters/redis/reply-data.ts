import type { Reply, ReplyType } from '../../protocol/message.ts'

// A reply as two values: what is around it as JSON, and its body as it is.

const REPLY_TYPES = ['result', 'error', 'progress', 'chunk', 'end', 'grant'] as const satisfies readonly ReplyType[]

export function writeMeta({ correlationId, type, contentType, contentEncoding, headers }: Reply): string {
  return JSON.stringify({
    correlationId,
    type,
    contentType,
    ...(contentEncoding !== undefined && { contentEncoding }),
    headers,
  })
}

/** Undefined for what is no reply at all. */
export function readReply(meta: Buffer, body: Buffer): Reply | undefined {
  try {
    const value = JSON.parse(meta.toString('utf8')) as Partial<Record<keyof Reply, unknown>> | null // each looked at below
    const type = REPLY_TYPES.find((known) => known === value?.type)
    const correlationId = value?.correlationId
    if (type === undefined || typeof correlationId !== 'string') return undefined
    const { contentType, contentEncoding, headers } = value ?? {}
    return {
      correlationId,
      type,
      contentType: typeof contentType === 'string' ? contentType : 'application/json',
      contentEncoding: typeof contentEncoding === 'string' ? contentEncoding : undefined,
      headers: readHeaders(headers),
      body,
    }
  } catch {
    return undefined
  }
}

/** As one value, for a channel. JSON has no line break that is not escaped. */
export function packReply(reply: Reply): Buffer {
  return Buffer.concat([Buffer.from(`${writeMeta(reply)}\n`), reply.body])
}
export function unpackReply(packed: Buffer): Reply | undefined {
  const end = packed.indexOf('\n')
  return end < 0 ? undefined : readReply(packed.subarray(0, end), packed.subarray(end + 1))
}

function readHeaders(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null) return {}
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => entry[0] !== '__proto__' && typeof entry[1] === 'string',
  )
  return Object.fromEntries(entries)
}
