import { BrokerError, messageOf } from '../../protocol/errors.ts'

// What the server and its libraries say, in our words. Codes: the first word of an error of Redis.

/** On one line, without the library's name of the error. */
export function shortOf(error: unknown): string {
  return messageOf(error).replace(/^\w*Error: /, '')
}

/** Of a transaction that was given up the library tells only that, and of its commands why. */
export function causeOf(error: unknown): unknown {
  if (!(error instanceof Error && 'previousErrors' in error && Array.isArray(error.previousErrors))) return error
  const [first]: unknown[] = error.previousErrors
  return first ?? error
}

/**
 * A script within a transaction is not there. The library takes it for loaded once it has sent it on a connection, though the server
 * may have refused it then or have forgotten it since: only on a new connection it sends it again.
 */
export function isForgotten(error: unknown): boolean {
  return /\bNOSCRIPT\b/.test(shortOf(error))
}

/** The server answered, and this is its answer. */
export function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}

/** Nothing more is stored until memory is freed. */
export function isOutOfMemory(error: unknown): boolean {
  return /^OOM |\bOOM command not allowed/.test(shortOf(error))
}

/** It is a replica, or has become one, or cannot store: another node, or the same one later, may do. */
export function isNotPrimary(error: unknown): boolean {
  return /\b(?:READONLY|MASTERDOWN|LOADING|UNBLOCKED|NOREPLICAS)\b/.test(shortOf(error))
}

/** A key is not what it is in a queue: somebody has put something else there. */
export function isWrongType(error: unknown): boolean {
  return /\bWRONGTYPE\b/.test(shortOf(error))
}

/** Said of a command, or of one within a script. */
export function isDenied(error: unknown): boolean {
  return /\b(?:NOPERM|NOAUTH|WRONGPASS|ACL failure)\b/.test(shortOf(error))
}

/** An error that may cross the seam: refused where nothing but an operator can mend it, else unavailable. */
export function toBrokerError(error: unknown, url: string): BrokerError {
  if (error instanceof BrokerError) return error
  if (isDenied(error))
    return new BrokerError(
      'BROKER_REFUSED',
      `${url}: ${shortOf(error)}; grant it with ACL SETUSER, docs/redis.md lists what is needed`,
    )
  return new BrokerError('BROKER_UNAVAILABLE', `${url}: ${shortOf(error)}`)
}

/** Why no connection can be made, until an operator mends it; undefined: dialling again may do. */
export function refusalText(error: unknown, username: string | undefined): string | undefined {
  const text = shortOf(error)
  if (/WRONGPASS|invalid password|invalid username-password/i.test(text))
    return `the login of user '${username ?? 'default'}' was refused: check the name and the password in the URL`
  if (/NOAUTH|Authentication required/i.test(text))
    return 'the server wants a password: redis://:password@host, or redis://user:password@host'
  if (/without any password configured|no password is set/i.test(text))
    return 'a password is given, but the server has none for this user: leave it out of the URL, or set it with ACL SETUSER'
  if (/NOPERM/.test(text)) return `${text}; grant it with ACL SETUSER, docs/redis.md lists what is needed`
  if (/DB index is out of range|invalid DB index/i.test(text))
    return 'there is no database of this number: correct the end of the URL'
  if (/CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)|ERR_TLS|wrong version number|certificate/i.test(text))
    return `TLS failed: ${text}; check ioredis: { tls: { ca, cert, key, servername } } and whether the port speaks TLS (rediss://)`
  return undefined
}

/** What the server or a library rejects with, as an error that may cross the seam. */
export async function throughSeam<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toBrokerError(error, url)
  }
}
