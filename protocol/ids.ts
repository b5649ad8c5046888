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
  const time = lastMs.toString(16).padStart(12, '0')
  const counter = sequence.toString(16).padStart(3, '0')
  const random = nextRandom()
  const variant = ((random >>> 16) & 0x3fff) | 0x8000
  const low = (random & 0xffff).toString(16).padStart(4, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${variant.toString(16)}-${low}${PROCESS_TAG}`
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

/** At most 4096 ids a millisecond; beyond that the time runs ahead of the clock, so order and uniqueness hold. */
function advance(): void {
  const now = Date.now()
  if (now > lastMs) {
    lastMs = now
    sequence = 0
  } else if (++sequence > 0xfff) {
    lastMs++
    sequence = 0
  }
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
