import { cborCodec } from './codec-cbor.ts'
import { jsonCodec } from './codec-json.ts'

/** Values ↔ bytes. Both directions throw a CodecError whose message ends a sentence; nothing else. */
export interface Codec {
  readonly contentType: string
  encode(value: unknown): Uint8Array
  decode(body: Uint8Array): unknown
  /** Encoded lists of one item each, as one encoded list; at most 255. */
  join(lists: readonly Uint8Array[]): Uint8Array
}

export type Encoding = 'cbor' | 'json'

export function codecOf(encoding: Encoding): Codec {
  return encoding === 'json' ? jsonCodec : cborCodec
}

/** Parameters (`; charset=utf-8`) are ignored; undefined: no codec for this content type. */
export function codecFor(contentType: string): Codec | undefined {
  const plain = contentType.split(';', 1)[0]?.trim().toLowerCase()
  if (plain === cborCodec.contentType) return cborCodec
  if (plain === jsonCodec.contentType) return jsonCodec
  return undefined
}
