import { HEADER } from '../protocol/headers.ts'
import type { LetterFilter, StoredDeadLetter } from './adapter.ts'

export function fitsLetter(letter: StoredDeadLetter, filter: LetterFilter, now: number): boolean {
  const { message, code, at } = letter
  if (filter.id !== undefined && message.id !== filter.id) return false
  if (filter.code !== undefined && code !== filter.code) return false
  if (filter.method !== undefined && message.headers[HEADER.method] !== filter.method) return false
  return filter.olderThanMs === undefined || now - at >= filter.olderThanMs
}
