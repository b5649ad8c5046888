import { randomBytes, randomFillSync } from 'node:crypto'

/** Marks the ids that this process made: 8 hex digits, random at start. */
const PROCESS_TAG = randomBytes(4).toString('hex')

/**
 * A new call id: a UUIDv7 (RFC 9562) whose bits are
 * `48 epoch ms | version 7 | 12 counter | variant | 30 random | 32 process tag`,
 * so ids of one process sort in the order in which they were made and can be told from foreign ones.
 */
export function newCallId(): string {
  advance()
  const random = nextRandom()
  const variant = ((random >>> 16) & 0x3fff) | 0x8000
  return `${timePart}-${hex4(0x7000 | sequence)}-${hex4(variant)}-${hex4(random & 0xffff)}${PROCESS_TAG}`
}

/** Whether this process made the id, waiting or not. */
export function isOwnId(id: string): boolean {
  return id.length === 36 && id.endsWith(PROCESS_TAG)
}

/** Ids of messages from anywhere: 1 to 64 of a safe alphabet, not only digits. */
export function isValidId(id: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(id) && /[^0-9]/.test(id)
}

let lastMs = 0
let sequence = 0
/** The first two groups of an id of this millisecond. */
let timePart = ''

/** At most 4096 ids a millisecond; beyond that the time runs ahead of the clock, so order and uniqueness hold. */
function advance(): void {
  const now = Date.now()
  if (now > lastMs) setTime(now)
  else if (++sequence > 0xfff) setTime(lastMs + 1)
}

function setTime(ms: number): void {
  lastMs = ms
  sequence = 0
  const hex = ms.toString(16).padStart(12, '0')
  timePart = `${hex.slice(0, 8)}-${hex.slice(8)}`
}

const HEX2 = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function hex4(value: number): string {
  return `${HEX2[value >>> 8]}${HEX2[value & 0xff]}`
}

const pool = new Uint32Array(256)
let used = pool.length

function nextRandom(): number {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  return pool[used++] ?? 0
}
