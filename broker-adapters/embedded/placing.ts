import { HEADER, isHighPriority } from '../../protocol/headers.ts'
import type { QueueRef } from '../../protocol/message.ts'
import { bytesOfText, writeText } from './text.ts'
import type { FrameReader, FrameWriter } from './wire.ts'

/*
 * What of a message decides when it is handed out, where the hub sees it, on the wire and in the store:
 *
 *     placing = u8 marks · [str key]
 *
 * The process that publishes reads it from the headers, for queues with the feature only.
 */
export interface Placing {
  readonly turnKey: string | undefined
  readonly isHigh: boolean
  /** A retry, which keeps the turn of its key. */
  readonly hasTurn: boolean
}

const MARK = { key: 1, high: 2, turn: 4 } as const

/** Of nearly everything. */
export const PLAIN: Placing = Object.freeze({ turnKey: undefined, isHigh: false, hasTurn: false })

export function placingOf(
  { keyed, priority }: Pick<QueueRef['features'], 'keyed' | 'priority'>,
  headers: Readonly<Record<string, string>>,
): Placing {
  if (!keyed && !priority) return PLAIN
  return {
    turnKey: keyed ? headers[HEADER.key] : undefined,
    isHigh: priority && isHighPriority(headers),
    hasTurn: false,
  }
}

export function writePlacing(writer: FrameWriter, placing: Placing): void {
  writer.u8(marksOf(placing))
  if (placing.turnKey !== undefined) writer.str(placing.turnKey)
}

export function bytesOfPlacing({ turnKey }: Placing): number {
  return turnKey === undefined ? 1 : 1 + bytesOfText(turnKey)
}

/** Returns where it ends. */
export function encodePlacing(target: Buffer, at: number, placing: Placing): number {
  const end = target.writeUInt8(marksOf(placing), at)
  return placing.turnKey === undefined ? end : writeText(target, end, placing.turnKey)
}

export function readPlacing(fields: FrameReader): Placing {
  const marks = fields.u8()
  if (marks === 0) return PLAIN
  return {
    turnKey: (marks & MARK.key) === 0 ? undefined : fields.str(),
    isHigh: (marks & MARK.high) !== 0,
    hasTurn: (marks & MARK.turn) !== 0,
  }
}

function marksOf({ turnKey, isHigh, hasTurn }: Placing): number {
  return (turnKey === undefined ? 0 : MARK.key) | (isHigh ? MARK.high : 0) | (hasTurn ? MARK.turn : 0)
}
