import { ConfigError } from '../protocol/errors.ts'
import { describeValue } from '../protocol/redact.ts'

/** What an address of any broker is made of. */
const ADDRESS = /^[\x21-\x7e]{1,512}$/

/** Whether a worker of this namespace may write replies to an address. */
export type IsReplyAddress = (address: string) => boolean

/**
 * A stranger's message must not make the worker post elsewhere: it answers to inboxes of its namespace and to what the
 * patterns allow, never to a queue of the namespace, where a reply would be taken for a request.
 *
 * @param patterns addresses in which `*` stands for any characters, also none.
 */
export function createReplyAddressCheck(namespace: string, patterns: readonly string[]): IsReplyAddress {
  const allowed = [`${namespace}.*`, ...patterns].map((pattern) => pattern.split('*'))
  const queues = `${namespace}.q.`
  return (address) =>
    ADDRESS.test(address) && !address.startsWith(queues) && allowed.some((pieces) => matches(address, pieces))
}

/** Each piece behind the one before it, the first at the beginning, the last at the end. Not a RegExp: its time is bounded. */
function matches(address: string, pieces: readonly string[]): boolean {
  const [first = '', ...others] = pieces
  const last = others.pop()
  if (last === undefined) return address === first
  if (!address.startsWith(first) || !address.endsWith(last)) return false
  let at = first.length
  for (const piece of others) {
    const found = address.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= address.length - last.length
}

/** @throws ConfigError for what is no list of addresses. */
export function checkedReplyAddresses(patterns: unknown): readonly string[] {
  if (patterns === undefined) return []
  if (Array.isArray(patterns) && patterns.every((pattern) => typeof pattern === 'string' && ADDRESS.test(pattern)))
    return Object.freeze([...patterns])
  throw new ConfigError(
    `replyAddresses must be an array of addresses, each 1 to 512 printable ASCII characters, in which * stands for any; got ${describeValue(patterns)}`,
  )
}
