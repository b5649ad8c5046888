import { cborCodec } from '../protocol/codec-cbor.ts'
import { codecFor, type Codec } from '../protocol/codec.ts'
import { redact } from '../protocol/redact.ts'
import { HEADER, replayOf, WIRE_VERSION } from '../protocol/headers.ts'
import { isReplayed } from '../protocol/replay.ts'
import type { Reply, ReplyType } from '../protocol/message.ts'
import type { Executed } from '../protocol/errors.ts'
import { isErrorCode, ERROR_CODES } from '../protocol/error-codes.ts'
import { encodeWireError, type WireError } from '../protocol/wire-errors.ts'
import { describeThrown } from './failures.ts'
import type { HeldCall } from './held-calls.ts'
import type { Failure } from './settlement.ts'
import { wireText } from './wire-text.ts'
import type { WorkerParts } from './worker-parts.ts'

/** The answer of a handler that returned; of a stream it says how many chunks there were. */
export function resultReply(call: HeldCall, parts: WorkerParts, body: Uint8Array): Reply {
  const type = call.message.type === 'stream' ? 'end' : 'result'
  return reply(call, parts, { type, body, contentType: call.message.contentType, ...chunksOf(call) })
}

/** Items of a stream; `sequence` counts from 0 within a run. */
export function chunkReply(
  call: HeldCall,
  parts: WorkerParts,
  { body, sequence }: { readonly body: Uint8Array; readonly sequence: number },
): Reply {
  return reply(call, parts, { type: 'chunk', body, contentType: call.message.contentType, sequence })
}

function chunksOf({ stream }: HeldCall): { readonly sequence?: number } {
  return stream === undefined ? {} : { sequence: stream.chunks }
}

/** A report on the way; `sequence` counts from 0 within an attempt. */
export function progressReply(
  call: HeldCall,
  parts: WorkerParts,
  { body, sequence }: { readonly body: Uint8Array; readonly sequence: number },
): Reply {
  return reply(call, parts, { type: 'progress', body, contentType: call.message.contentType, sequence })
}

/** In the caller's encoding; in CBOR if that is not known here. Leaves out issues that would not fit a message. */
export function errorReply(
  call: HeldCall,
  parts: WorkerParts,
  { failure, executed }: { readonly failure: Failure; readonly executed: Executed },
): Reply {
  const codec = codecFor(wireText(call.message.contentType)) ?? cborCodec
  const error: WireError = {
    code: failure.code,
    message: redact(failure.message).slice(0, 4000).toWellFormed(),
    executed,
    retryable: failure.retryable ?? (isErrorCode(failure.code) && ERROR_CODES[failure.code].retryable),
    attempts: Math.min(call.attempt, Number.MAX_SAFE_INTEGER),
    ...(failure.data === undefined ? {} : { data: failure.data }),
    ...(failure.issues === undefined ? {} : { issues: failure.issues }),
  }
  const body = encodeBounded(error, codec, parts)
  return reply(call, parts, { type: 'error', body, contentType: codec.contentType, ...chunksOf(call) })
}

function encodeBounded(error: WireError, codec: Codec, parts: WorkerParts): Uint8Array {
  const { issues: _left, ...plain } = error
  const bare = { ...plain, message: plain.message.slice(0, 300).toWellFormed() }
  try {
    const body = encodeWireError(error, codec)
    return body.length > parts.core.maxPayloadBytes ? codec.encode(bare) : body
  } catch (thrown) {
    parts.core.log('debug', 'ERROR_SHORTENED', `an error was sent without its details: ${describeThrown(thrown)}`)
    return codec.encode({ ...bare, data: undefined })
  }
}

interface ReplyParts {
  readonly type: ReplyType
  readonly body: Uint8Array
  readonly contentType: string
  readonly sequence?: number
}

function reply(
  call: HeldCall,
  { options, grants }: WorkerParts,
  { type, body, contentType, sequence }: ReplyParts,
): Reply {
  return {
    correlationId: call.message.id,
    type,
    contentType,
    contentEncoding: undefined,
    headers: {
      [HEADER.version]: WIRE_VERSION,
      [HEADER.attempt]: String(call.attempt),
      [HEADER.worker]: options.name,
      ...(sequence === undefined ? {} : { [HEADER.sequence]: String(sequence) }),
      ...(call.stream === undefined ? {} : streamHeaders(call.stream, grants.address)),
      ...(call.message.headers[HEADER.keep] === undefined ? {} : nameOfMethod(call)),
      ...(isReplayed(call.message) ? { [HEADER.replay]: String(replayOf(call.message.headers)) } : {}),
    },
    body,
  }
}

/** Whoever asks for a kept outcome may have taken its id for one of another method. */
function nameOfMethod({ message }: HeldCall): Record<string, string> {
  return {
    [HEADER.service]: wireText(message.headers[HEADER.service], 64),
    [HEADER.method]: wireText(message.headers[HEADER.method], 64),
  }
}

function streamHeaders(stream: { readonly run: string }, grantTo: string | undefined): Record<string, string> {
  return { [HEADER.run]: stream.run, ...(grantTo === undefined ? {} : { [HEADER.grantTo]: grantTo }) }
}
