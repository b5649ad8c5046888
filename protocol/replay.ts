import { HEADER, replayOf } from './headers.ts'
import type { Message } from './message.ts'

/** What was true of the generation that failed, and is not of the next. */
const OF_ONE_GENERATION = [
  HEADER.deadline,
  HEADER.attempt,
  HEADER.ran,
  HEADER.resent,
  HEADER.history,
  HEADER.given,
  HEADER.solo,
] as const

/**
 * A dead letter as it is published again: the same id, but a new generation, which is no duplicate of the one that failed.
 * Without a deadline, as its caller is long gone; a kept mailbox takes its outcome in place of the failure.
 */
export function nextGeneration(message: Message): Message {
  const headers: Record<string, string> = { ...message.headers, [HEADER.replay]: String(replayOf(message.headers) + 1) }
  for (const name of OF_ONE_GENERATION) delete headers[name]
  return { ...message, headers, delayMs: undefined, expiresInMs: undefined }
}

export function isReplayed({ headers }: Message): boolean {
  return headers[HEADER.replay] !== undefined
}

/** Tells a message from the same one in another generation: an id has no '#'. */
export function generationKey(message: Message): string {
  return isReplayed(message) ? `${message.id}#${replayOf(message.headers)}` : message.id
}
