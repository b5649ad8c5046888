import type { Hello } from './wire.ts'

const MAX_TEXT = 512

/** What a process says of itself. Throws SyntaxError or RangeError for what is none: that is its defect, not the hub's. */
export function parseHello(json: string): Hello {
  const value: unknown = JSON.parse(json)
  if (typeof value !== 'object' || value === null) throw new RangeError('a HELLO that is no object')
  const { format, session, pid, startTime, pidNamespace, canHost } = value as Partial<Hello> // each is looked at
  if (
    typeof format !== 'number' ||
    typeof pid !== 'number' ||
    !Number.isSafeInteger(pid) ||
    typeof canHost !== 'boolean' ||
    !isText(session) ||
    !isText(startTime) ||
    !isText(pidNamespace)
  )
    throw new RangeError('a HELLO whose fields are not what they should be')
  return { format, session, pid, startTime, pidNamespace, canHost }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT
}
