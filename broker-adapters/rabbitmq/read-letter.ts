import { attemptOf } from '../../protocol/headers.ts'
import type { StoredDeadLetter } from '../adapter.ts'
import { withoutDue } from './delays.ts'
import { readLetterHeaders } from './letter-headers.ts'
import { deathOf, readRequest, type RawMessage } from './properties.ts'

/** The server itself, or a stranger, may have put it here: then the reason says so. */
export function readLetter(raw: RawMessage): StoredDeadLetter {
  const request = readRequest(raw)
  const { headers, why } = readLetterHeaders(request.headers)
  const message = { ...request, headers: withoutDue(headers) }
  if (why !== undefined) return { message, ...why }
  return { message, code: 'CRASHED', reason: reasonOf(raw), attempts: attemptOf(headers), at: timeOf(raw) }
}

/** Those of one id together, in the order of their first one: the last one counts. What has no id is one by itself. */
export function groupLetters<T extends RawMessage>(
  raws: readonly T[],
): readonly { readonly letter: StoredDeadLetter; readonly raws: readonly T[] }[] {
  const groups = new Map<unknown, { letter: StoredDeadLetter; readonly raws: T[] }>()
  for (const raw of raws) {
    const letter = readLetter(raw)
    const key = letter.message.id === '' ? raw : letter.message.id
    const known = groups.get(key)
    if (known === undefined) groups.set(key, { letter, raws: [raw] })
    else {
      known.letter = letter
      known.raws.push(raw)
    }
  }
  return [...groups.values()]
}

function reasonOf(raw: RawMessage): string {
  const death = deathOf(raw)
  switch (death) {
    case undefined:
      return 'it was put among the dead letters by a program that gave no reason'
    case 'delivery_limit':
      return 'the server handed it out as often as the delivery limit of its queue allows, and nobody settled it (delivery_limit)'
    default:
      return `the server took it out of its queue (${death})`
  }
}

/** Epoch ms; the server knows seconds. */
function timeOf({ properties }: RawMessage): number {
  const deaths: unknown = properties.headers?.['x-death']
  const death: unknown = Array.isArray(deaths) ? deaths[0] : undefined
  const time: unknown = typeof death === 'object' && death !== null && 'time' in death ? death.time : undefined
  return (secondsOf(time) ?? secondsOf(properties.timestamp) ?? 0) * 1_000
}

/** amqplib gives a timestamp in a table as { '!': 'timestamp', value }. */
function secondsOf(time: unknown): number | undefined {
  if (typeof time === 'number') return time
  if (typeof time !== 'object' || time === null || !('value' in time)) return undefined
  return typeof time.value === 'number' ? time.value : undefined
}
