import { BrokerError, messageOf } from '../../protocol/errors.ts'

// What the server and amqplib say, in our words. Codes: https://www.rabbitmq.com/amqp-0-9-1-reference#constants

const ACCESS_REFUSED = 403
const NOT_FOUND = 404
const RESOURCE_LOCKED = 405
const PRECONDITION_FAILED = 406

/** The reply code with which the server closed a channel or connection. */
function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === NOT_FOUND
}
/** It exists with other arguments, or as another type. */
export function isOtherwise(error: unknown): boolean {
  return codeOf(error) === PRECONDITION_FAILED
}
/** Somebody else consumes it, and wants to be the only one. */
export function isTaken(error: unknown): boolean {
  const code = codeOf(error)
  return code === RESOURCE_LOCKED || (code === ACCESS_REFUSED && /exclusive/i.test(messageOf(error)))
}
export function isDenied(error: unknown): boolean {
  return codeOf(error) === ACCESS_REFUSED && !isTaken(error)
}

/** The limit that the server named when it refused a message: 'message size 2000000 is larger than configured max size 1000'. */
export function sizeLimitOf(error: unknown): number | undefined {
  const limit = /larger than (?:configured )?max size (\d+)/i.exec(error instanceof Error ? error.message : '')?.[1]
  return limit === undefined ? undefined : Number(limit)
}

/** An error that may cross the seam: refused where nothing but an operator can mend it, else unavailable. */
export function toBrokerError(error: unknown, url: string): BrokerError {
  if (error instanceof BrokerError) return error
  if (isDenied(error)) return new BrokerError('BROKER_REFUSED', `${url}: ${deniedText(error)}`)
  return new BrokerError('BROKER_UNAVAILABLE', `${url}: ${shortOf(error)}`)
}

/** Why no connection can be made, until an operator mends it; undefined: dialling again may do. */
export function refusalText(
  error: unknown,
  { username, vhost }: { username: string; vhost: string },
): string | undefined {
  const text = shortOf(error)
  const code = codeOf(error)
  if (code === ACCESS_REFUSED || /ACCESS[-_]REFUSED/.test(text))
    return `the login of user '${username}' was refused: check the name and the password in the URL (guest may only come from the server's own machine)`
  // Opening asks for the vhost and nothing else; amqplib does not hand on why it is refused.
  if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(text))
    return `the vhost '${vhost}' is missing, or not for user '${username}': rabbitmqctl add_vhost ${vhost}, rabbitmqctl set_permissions -p ${vhost} ${username} '.*' '.*' '.*', or correct the end of the URL (a limit of its connections is told the same way)`
  if (/CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)|ERR_TLS|wrong version number|certificate/i.test(text))
    return `TLS failed: ${text}; check tls: { ca, cert, key, servername } and whether the port speaks TLS (amqps://)`
  return undefined
}

function deniedText(error: unknown): string {
  return `${shortOf(error)}; grant it with rabbitmqctl set_permissions, docs/rabbitmq.md lists what is needed`
}

/** The server's words without amqplib's: on one line, without secrets. */
export function shortOf(error: unknown): string {
  const text = messageOf(error).replace(/^\w*Error: /, '')
  return /with message "(.*)"/.exec(text)?.[1] ?? text
}
