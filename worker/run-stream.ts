import { checkValue } from '../contract/check-value.ts'
import type { Codec } from '../protocol/codec.ts'
import { CallError } from '../protocol/errors.ts'
import { HEADER, integerHeader } from '../protocol/headers.ts'
import { DEFAULT_SILENCE_MS } from '../protocol/stream.ts'
import { describeIssues, plainIssues } from '../protocol/wire-errors.ts'
import type { Attempt } from './attempt.ts'
import { createChunkWriter, type ChunkWriter } from './chunk-writer.ts'
import { describeThrown, invalidOutput, nameOf, outputTooLarge, threw } from './failures.ts'
import type { ServedMethod } from './handlers.ts'
import type { HeldCall } from './held-calls.ts'
import { judgeThrown } from './judge-result.ts'
import type { Outcome } from './settlement.ts'
import type { WorkerParts } from './worker-parts.ts'

export interface StreamOptions {
  /** What the handler, or a middleware around it, returned. */
  readonly items: unknown
  readonly method: ServedMethod
  readonly codec: Codec
  readonly parts: WorkerParts
}

/**
 * Reads the handler's items and sends them, until they end, the handler throws, or the run is interrupted: then the handler's
 * generator is told by `return()`. Nothing is read while the reader has no room. Rejects never.
 */
export async function runStream(call: HeldCall, attempt: Attempt, options: StreamOptions): Promise<Outcome> {
  const { items, codec, parts, method } = options
  if (!isAsyncIterable(items))
    return invalidOutput(call, 'is no AsyncIterable: a method with yields is an async generator (async *name(…) { … })')
  const writer = createChunkWriter(call, {
    codec,
    parts,
    silenceMs: integerHeader(call.message.headers, HEADER.silence) ?? DEFAULT_SILENCE_MS,
    onAbandoned(why) {
      parts.count('streamsAbandoned')
      call.isCancelled = true
      attempt.abort('cancelled', new CallError('CANCELLED', `nobody reads ${nameOf(call)} any more: ${why}`))
    },
  })
  const interrupted = (): void => writer.close()
  attempt.signal.addEventListener('abort', interrupted, { once: true })
  try {
    const problem = await sendItems(call, attempt, { ...options, items, writer })
    await writer.finish()
    if (attempt.abortReason !== undefined) throw attempt.abortReason
    return problem ?? { kind: 'returned', body: EMPTY }
  } catch (thrown) {
    await writer.finish() // what came before the error is read before it
    if (attempt.abortCause === 'cancelled') return threw(call, thrown, { isEntered: true, isFinal: false })
    return await judgeThrown(call, attempt, { thrown, method, codec, parts })
  } finally {
    attempt.signal.removeEventListener('abort', interrupted)
    writer.close()
  }
}

const EMPTY = new Uint8Array(0)

/** What is wrong with an item ends the stream; undefined: they ended by themselves. */
async function sendItems(
  call: HeldCall,
  attempt: Attempt,
  {
    items,
    method,
    codec,
    parts,
    writer,
  }: StreamOptions & { readonly items: AsyncIterable<unknown>; readonly writer: ChunkWriter },
): Promise<Outcome | undefined> {
  const { maxPayloadBytes } = parts.core
  for await (const item of items) {
    if (attempt.abortReason !== undefined) throw attempt.abortReason
    if (parts.options.validate === 'both') {
      const checking = checkValue(method.facts.yields, item)
      const { issues } = checking instanceof Promise ? await checking : checking
      if (issues !== undefined) {
        const plain = plainIssues(issues)
        return invalidOutput(call, `has an item that does not fit the contract: ${describeIssues(plain)}`, plain)
      }
    }
    const body = encodeItem(codec, item)
    if (typeof body === 'string') return invalidOutput(call, `has an item that cannot be sent: ${body}`)
    if (body.length > maxPayloadBytes) return outputTooLarge(call, body.length, maxPayloadBytes)
    const room = writer.write(body)
    if (room !== undefined) await room
    if (attempt.abortReason !== undefined) throw attempt.abortReason
  }
  return undefined
}

/** As a list of one: what cannot stand in a list is refused with its item. */
function encodeItem(codec: Codec, item: unknown): Uint8Array | string {
  try {
    return codec.encode([item])
  } catch (error) {
    return describeThrown(error)
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.asyncIterator) === 'function'
}
