// What lies in the state queue of a partition: JSON, one note a message.

/** What must outlive its owner of a message that is tried again: the message itself stays in its place, unchanged. */
export interface RetryEntry {
  readonly kind: 'entry'
  /** Who stored it, and as which of its entries: the higher one is the newer one. */
  readonly owner: number
  readonly sequence: number
  readonly id: string
  readonly key: string
  /** Epoch ms; 0: at once. */
  readonly dueAt: number
  /** What all retries until now have set. */
  readonly headers: Readonly<Record<string, string>>
  /** How often it went to a core since its last retry. */
  readonly handOvers: number
}

/** From here on the partition belongs to the owner of that number; `token` is only known to whoever stored it. */
export interface OwnerNote {
  readonly kind: 'owner'
  readonly owner: number
  readonly token: string
}

/** Whoever gets it back has got all that was stored before. */
export interface ProbeNote {
  readonly kind: 'probe'
  readonly token: string
}

export type PartitionNote = RetryEntry | OwnerNote | ProbeNote

export function encodeNote(note: PartitionNote): Uint8Array {
  return Buffer.from(JSON.stringify(note))
}

/** Undefined: no note of ours. */
export function parseNote(body: Uint8Array): PartitionNote | undefined {
  let note: unknown
  try {
    note = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return undefined
  }
  if (!isRecord(note)) return undefined
  const { kind, owner, sequence, id, key, dueAt, headers, handOvers, token } = note
  if (kind === 'probe' && typeof token === 'string') return { kind, token }
  if (kind === 'owner' && isCount(owner) && typeof token === 'string') return { kind, owner, token }
  if (kind !== 'entry' || !isCount(owner) || !isCount(sequence) || !isCount(dueAt) || !isCount(handOvers))
    return undefined
  if (typeof id !== 'string' || typeof key !== 'string' || !isRecord(headers)) return undefined
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) if (typeof value === 'string') texts[name] = value
  return { kind, owner, sequence, id, key, dueAt, handOvers, headers: texts }
}

export function isNewer(one: RetryEntry, other: RetryEntry): boolean {
  return one.owner === other.owner ? one.sequence > other.sequence : one.owner > other.owner
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
