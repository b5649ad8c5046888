/**
 * The flat string headers of a message. Written by the caller and never changed: all but the last group.
 * On receipt every one but `rt-method` is optional, so that a program without this library can take part.
 */
export const HEADER = {
  version: 'rt-v',
  service: 'rt-service',
  method: 'rt-method',
  /** The version of the caller's contract. */
  contractVersion: 'rt-version',
  /** Name of the calling client: a claim, not a proof. */
  caller: 'rt-caller',
  /** Which machine's clock wrote `deadline` and `sent`, see host-id.ts. */
  host: 'rt-host',
  /** Epoch ms, decimal. */
  deadline: 'rt-deadline',
  sent: 'rt-sent',
  /** How deep in nested calls; absent: 0. */
  depth: 'rt-depth',
  /** Messages of one key run in the order of publishing, one at a time; at most MAX_KEY_BYTES. */
  key: 'rt-key',
  /** 'high' runs before everything else; absent: normal. */
  priority: 'rt-priority',
  /** For how many milliseconds the outcome is kept for whoever asks: its replies say their service and method. */
  keep: 'rt-keep',

  /** Written on the way. Attempt counts from 1; absent: 1. */
  attempt: 'rt-attempt',
  /** An earlier attempt entered a handler. */
  ran: 'rt-ran',
  /** The caller published it again because it did not learn whether the first one was stored. */
  resent: 'rt-resent',
  /** A worker's error history, one line an attempt. */
  history: 'rt-history',
  /** How often a worker that is too old for it has put it back at the end of the queue. */
  given: 'rt-given',
  /** It is to run with nothing beside it; how often its worker ended meanwhile. Empty: not any more. */
  solo: 'rt-solo',
  /** How often it was taken from the dead letters; absent: never. Its replies say the same. */
  replay: 'rt-replay',

  /** Of a stream: how long either side may say nothing, ms, decimal. */
  silence: 'rt-silence',

  /** Of replies. */
  worker: 'rt-worker',
  sequence: 'rt-seq',
  /** Of a stream: which run of its handler this is of, and where its worker takes grants. */
  run: 'rt-run',
  grantTo: 'rt-grant-to',
} as const

export const WIRE_VERSION = '1'
export const MAX_USER_HEADER_BYTES = 8192
export const MAX_KEY_BYTES = 1024

/** What is wrong with headers that a user gives, as a sentence without its subject; undefined: nothing. */
export function userHeadersProblem(headers: Iterable<readonly [unknown, unknown]>): string | undefined {
  let bytes = 0
  for (const [name, value] of headers) {
    if (typeof name !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(name))
      return `has a header name that is not 1 to 128 printable ASCII characters: ${quote(name)}`
    if (name.toLowerCase().startsWith('rt-'))
      return `has the header ${name}, but names that begin with 'rt-' belong to the library`
    if (name === '__proto__') return "has a header '__proto__', which JavaScript gives a meaning of its own"
    if (typeof value !== 'string') return `has the header ${name} with a ${typeof value} as value; headers are strings`
    if (!value.isWellFormed()) return `has the header ${name} with a value that is not well-formed text`
    if (/\p{Cc}/u.test(value)) return `has the header ${name} with a control character in its value`
    bytes += name.length + Buffer.byteLength(value)
  }
  return bytes > MAX_USER_HEADER_BYTES
    ? `has ${bytes} bytes of headers; at most ${MAX_USER_HEADER_BYTES} are allowed`
    : undefined
}

/** A header that is a whole number ≥ 0 of at most 15 digits; undefined when it is absent or anything else. */
export function integerHeader(headers: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = headers[name]
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

export function attemptOf(headers: Readonly<Record<string, string>>): number {
  return Math.max(1, integerHeader(headers, HEADER.attempt) ?? 1)
}

export function replayOf(headers: Readonly<Record<string, string>>): number {
  return integerHeader(headers, HEADER.replay) ?? 0
}

export function isHighPriority(headers: Readonly<Record<string, string>>): boolean {
  return headers[HEADER.priority] === 'high'
}

/** What is wrong with a key, as the end of a sentence; undefined: nothing. */
export function keyProblem(key: unknown): string | undefined {
  if (typeof key !== 'string') return `must be a string; got ${key === null ? 'null' : `a ${typeof key}`}`
  if (key === '') return 'must not be empty'
  if (!key.isWellFormed()) return 'must be well-formed text'
  const bytes = Buffer.byteLength(key)
  return bytes > MAX_KEY_BYTES ? `has ${bytes} bytes; at most ${MAX_KEY_BYTES} are allowed` : undefined
}

function quote(name: unknown): string {
  return typeof name === 'string' ? JSON.stringify(name.slice(0, 140)) : `a ${typeof name}`
}
