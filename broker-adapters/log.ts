import { messageOf } from '../protocol/errors.ts'
import { redact } from '../protocol/redact.ts'
import type { LogLine } from './broker.ts'
import { callListener } from './call-listener.ts'

export interface Log {
  write(level: LogLine['level'], code: string, message: string, about?: string): void
  /** Writes what was held back. */
  close(): void
}

const REPEAT_MS = 60_000
/** Above it the oldest are forgotten: a log that counts must not grow. */
const MAX_KEYS = 1000

/**
 * One line per (code, about) and minute; what comes in between is counted and said with the next line.
 * No secret gets into it. A listener that throws or rejects is a bug of its owner and must not end a call: it is replaced by
 * stderr.
 */
export function createLog(listener: ((line: LogLine) => void) | undefined, now: () => number): Log {
  const held = new Map<string, { readonly level: LogLine['level']; readonly since: number; count: number }>()
  const sink = listener ?? writeToStderr

  return {
    write(level, code, message, about = '') {
      const key = `${code} ${about}`
      const entry = held.get(key)
      if (entry !== undefined && now() - entry.since < REPEAT_MS) {
        entry.count++
        return
      }
      const count = 1 + (entry?.count ?? 0)
      held.delete(key)
      held.set(key, { level, since: now(), count: 0 })
      if (held.size > MAX_KEYS) held.delete(held.keys().next().value ?? '')
      emit({ level, code, message: redact(message), count })
    },
    close() {
      for (const [key, { level, count }] of held) {
        if (count > 0)
          emit({
            level,
            code: key.split(' ', 1)[0] ?? key,
            message: `${count} more lines of this kind were held back`,
            count,
          })
      }
      held.clear()
    },
  }

  function emit(line: LogLine): void {
    callListener(
      () => sink(line),
      (error) => {
        process.stderr.write(`replyto: the log function threw: ${messageOf(error)}\n`)
        writeToStderr(line)
      },
    )
  }
}

function writeToStderr(line: LogLine): void {
  if (line.level === 'debug' || line.level === 'info') return
  process.stderr.write(
    `replyto ${line.level} [${line.code}] ${line.message}${line.count > 1 ? ` (${line.count} times)` : ''}\n`,
  )
}
