/**
 * Which queue a message goes to. Everything here is topology: two processes that name the same queue must say the same.
 * The core's name for it is `<namespace>.q.<group>.<service>.<major>`, see queue-names.ts.
 */
export interface QueueRef {
  readonly group: string
  readonly service: string
  /** `v1`, `v2`, …; for 0.x versions the minor counts: `v0-3`. */
  readonly major: string
  readonly features: { readonly keyed: boolean; readonly priority: boolean; readonly frames: boolean }
}

/** A request: the envelope is flat strings, the body is only the encoded input. */
export interface Message {
  /** The call's id, which is also the correlation id of its replies. */
  readonly id: string
  readonly type: 'call' | 'send' | 'stream'
  /** Address of the caller's inbox; a send has none. */
  readonly replyTo: string | undefined
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Not handed out before this many milliseconds have passed. */
  readonly delayMs?: number | undefined
  /** Relative: after this the broker may drop it. Nothing that waits in a delay carries it. */
  readonly expiresInMs?: number | undefined
}

/** `grant` goes the other way: the reader of a stream tells its worker how much it has read. */
export type ReplyType = 'result' | 'error' | 'progress' | 'chunk' | 'end' | 'grant'

export interface Reply {
  readonly correlationId: string
  readonly type: ReplyType
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** A final reply ends its call; the others (progress, chunk, grant) are on the way. */
export function isFinalReply(type: ReplyType): boolean {
  return type === 'result' || type === 'error' || type === 'end'
}
