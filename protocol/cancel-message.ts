import { cborCodec } from './codec-cbor.ts'
import { isValidId } from './ids.ts'

/** The body of a broadcast to the workers of a queue: nobody waits for these calls any more. CBOR `{ ids, until }`. */
export interface CancelMessage {
  readonly ids: readonly string[]
  /** Epoch ms: the latest of their deadlines. A worker remembers the ids until then. */
  readonly until: number
}

export function encodeCancel({ ids, until }: CancelMessage): Uint8Array {
  return cborCodec.encode({ ids: [...ids], until })
}

/** Undefined for whatever is no such message: broadcasts come from anywhere. */
export function parseCancel(body: Uint8Array): CancelMessage | undefined {
  let value: unknown
  try {
    value = cborCodec.decode(body)
  } catch {
    return undefined // a stranger's bytes
  }
  if (typeof value !== 'object' || value === null || !('ids' in value) || !('until' in value)) return undefined
  const { ids, until } = value
  if (!Array.isArray(ids) || typeof until !== 'number' || !Number.isFinite(until)) return undefined
  return { ids: ids.filter((id): id is string => typeof id === 'string' && isValidId(id)), until }
}
