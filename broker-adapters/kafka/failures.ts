import { BrokerError, messageOf } from '../../protocol/errors.ts'

// What the server and its library say, in our words. Names of errors: https://kafka.apache.org/protocol#protocol_error_codes

/** In the protocol's words where the server answered, else the library's or Node's name. */
export function nameOfError(error: unknown): string {
  if (!(error instanceof Error)) return 'UNKNOWN'
  if ('type' in error && typeof error.type === 'string') return error.type
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name
}

/** On one line, without the library's name of the error. */
export function shortOf(error: unknown): string {
  return messageOf(error).replace(/^(?:Connection error: |Failed to connect: |KafkaJS\w*: |Error: )+/, '')
}

/** It was given up, or the connection went: what was asked for may have been done. */
export function isAway(error: unknown): boolean {
  return error instanceof Error && /Connection|Timeout|BrokerNotFound/.test(error.name)
}

/** What a name of an error proves of a produce: the broker has looked at the records and stored none. */
const PROVES_NOT_STORED = new Set([
  'INVALID_MESSAGE',
  'CORRUPT_MESSAGE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'NOT_ENOUGH_REPLICAS',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'POLICY_VIOLATION',
  'INVALID_RECORD',
])

export function provesNotStored(name: string): boolean {
  return PROVES_NOT_STORED.has(name)
}

/** It leads no more, or is no more: who leads is to be asked for again. */
export function isStale(name: string): boolean {
  return /^(?:UNKNOWN_TOPIC_OR_PARTITION|LEADER_NOT_AVAILABLE|NOT_LEADER_FOR_PARTITION|REPLICA_NOT_AVAILABLE|FENCED_LEADER_EPOCH|UNKNOWN_LEADER_EPOCH|KAFKA_STORAGE_ERROR)$/.test(
    name,
  )
}

export function isTooLarge(name: string): boolean {
  return name === 'MESSAGE_TOO_LARGE' || name === 'RECORD_LIST_TOO_LARGE'
}

export function isDenied(name: string): boolean {
  return name.endsWith('_AUTHORIZATION_FAILED')
}

export const GRANT = 'grant it with kafka-acls, docs/kafka.md lists what is needed'

/** An error that may cross the seam: refused where nothing but an operator can mend it, else unavailable. */
export function toBrokerError(error: unknown, url: string): BrokerError {
  if (error instanceof BrokerError) return error
  const name = nameOfError(error)
  if (isDenied(name)) return new BrokerError('BROKER_REFUSED', `${url}: ${textOf(error, name)}; ${GRANT}`)
  if (name === 'POLICY_VIOLATION' || name === 'INVALID_REPLICATION_FACTOR' || name === 'INVALID_CONFIG')
    return new BrokerError('BROKER_REFUSED', `${url}: ${textOf(error, name)}`)
  return new BrokerError('BROKER_UNAVAILABLE', `${url}: ${shortOf(error)}`)
}

function textOf(error: unknown, name: string): string {
  const text = shortOf(error)
  return text.includes(name) ? text : `${text} (${name})`
}

const OTHER_MECHANISM = 'name one that the server has in kafka({ sasl: { mechanism } })'

/** Why no connection can be made, until an operator mends it; undefined: dialling again may do. */
export function refusalText(error: unknown, user: string | undefined): string | undefined {
  const text = shortOf(error)
  if (error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError') {
    const who = user === undefined ? 'the login' : `the login of user '${user}'`
    return /mechanism is not supported/i.test(text)
      ? `${text}; ${OTHER_MECHANISM}`
      : `${who} was refused: check the name and the password in the URL or in kafka({ sasl })`
  }
  if (nameOfError(error) === 'UNSUPPORTED_SASL_MECHANISM') return `${text}; ${OTHER_MECHANISM}`
  if (nameOfError(error) === 'SASL_AUTHENTICATION_FAILED') return `${text}: check kafka({ sasl })`
  // The name of a host may have any of these words.
  if (
    !/^(?:connect|getaddrinfo) /.test(text) &&
    /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)|ERR_TLS|wrong version number|EPROTO|PEM routines|asn1|bad decrypt/i.test(
      text,
    )
  )
    return `TLS failed: ${text}; check kafka({ ssl: { ca, cert, key, servername } }) and whether the port speaks TLS`
  if (error instanceof Error && error.name === 'KafkaJSServerDoesNotSupportApiKey')
    return `the server is too old: ${text}; Kafka 2.4 or newer is needed`
  return undefined
}

/** What the server or the library rejects with, as an error that may cross the seam. */
export async function throughSeam<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toBrokerError(error, url)
  }
}
