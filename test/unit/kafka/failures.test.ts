import { expect, test } from 'vitest'
import {
  isAway,
  isDenied,
  isStale,
  isTooLarge,
  nameOfError,
  provesNotStored,
  refusalText,
  shortOf,
  throughSeam,
  toBrokerError,
} from '../../../broker-adapters/kafka/failures.ts'
import { loadLibrary } from '../../../broker-adapters/kafka/library.ts'
import { protocolError } from '../../../broker-adapters/kafka/places.ts'
import { BrokerError } from '../../../protocol/errors.ts'

/** As kafkajs tells it. */
function told(name: string, message: string, more: object = {}): Error {
  return Object.assign(new Error(message), { name, ...more })
}
const DENIED = told('KafkaJSProtocolError', 'Not authorized to access group: Group authorization failed', {
  type: 'GROUP_AUTHORIZATION_FAILED',
})

test('an error has the name that the protocol gives it, else the library or Node', () => {
  expect(nameOfError(DENIED)).toBe('GROUP_AUTHORIZATION_FAILED')
  expect(nameOfError(protocolError('NOT_LEADER_FOR_PARTITION', 'a'))).toBe('NOT_LEADER_FOR_PARTITION')
  expect(nameOfError(told('Error', 'x', { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED')
  expect(nameOfError(told('KafkaJSRequestTimeoutError', 'x'))).toBe('KafkaJSRequestTimeoutError')
  for (const other of [undefined, 'text', { type: 'x' }]) expect(nameOfError(other)).toBe('UNKNOWN')
})

/** What the protocol says a produce may end with. https://kafka.apache.org/protocol#protocol_error_codes */
const OF_PRODUCE: Readonly<Record<string, boolean>> = {
  CORRUPT_MESSAGE: true,
  UNKNOWN_TOPIC_OR_PARTITION: true,
  LEADER_NOT_AVAILABLE: true,
  NOT_LEADER_FOR_PARTITION: true,
  MESSAGE_TOO_LARGE: true,
  RECORD_LIST_TOO_LARGE: true,
  INVALID_TOPIC_EXCEPTION: true,
  NOT_ENOUGH_REPLICAS: true,
  TOPIC_AUTHORIZATION_FAILED: true,
  POLICY_VIOLATION: true,
  REQUEST_TIMED_OUT: false,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: false,
  UNKNOWN: false,
  KAFKA_STORAGE_ERROR: false,
  NETWORK_EXCEPTION: false,
}

test('only what proves it proves that nothing is stored', () => {
  for (const [name, isProof] of Object.entries(OF_PRODUCE))
    expect([name, provesNotStored(name)]).toEqual([name, isProof])
})

test('the names that decide something are those of the library', () => {
  const { errorOf } = loadLibrary()
  const names = new Set(Array.from({ length: 101 }, (_, at) => errorOf(at - 1).type))
  const ours = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID']
  const more = ['NOT_COORDINATOR_FOR_GROUP', 'OFFSET_OUT_OF_RANGE', 'TOPIC_ALREADY_EXISTS', 'INVALID_SESSION_TIMEOUT']
  const others = [
    'INCONSISTENT_GROUP_PROTOCOL',
    'INVALID_REPLICATION_FACTOR',
    'INVALID_CONFIG',
    'GROUP_AUTHORIZATION_FAILED',
  ]
  const proofs = Object.keys(OF_PRODUCE).filter((name) => name !== 'NETWORK_EXCEPTION')
  const stale = ['REPLICA_NOT_AVAILABLE', 'FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH', 'CLUSTER_AUTHORIZATION_FAILED']
  expect([...ours, ...more, ...others, ...proofs, ...stale].filter((name) => !names.has(name))).toEqual([])
})

test('what is stale, too large, denied or away is told apart', () => {
  expect(['NOT_LEADER_FOR_PARTITION', 'UNKNOWN_TOPIC_OR_PARTITION', 'FENCED_LEADER_EPOCH'].every(isStale)).toBe(true)
  expect(['MESSAGE_TOO_LARGE', 'TOPIC_AUTHORIZATION_FAILED', ''].some(isStale)).toBe(false)
  expect([isTooLarge('MESSAGE_TOO_LARGE'), isTooLarge('RECORD_LIST_TOO_LARGE'), isTooLarge('X')]).toEqual([
    true,
    true,
    false,
  ])
  expect([isDenied('GROUP_AUTHORIZATION_FAILED'), isDenied('SASL_AUTHENTICATION_FAILED')]).toEqual([true, false])
  for (const name of ['KafkaJSConnectionError', 'KafkaJSRequestTimeoutError', 'KafkaJSBrokerNotFound'])
    expect(isAway(told(name, 'x'))).toBe(true)
  expect([isAway(DENIED), isAway(undefined)]).toEqual([false, false])
})

test('what only an operator can mend is told with what to do, and passes the seam as an error of ours', async () => {
  expect(toBrokerError(DENIED, 'kafka://h:1')).toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringMatching(/kafka:\/\/h:1: Not authorized.*GROUP_AUTHORIZATION_FAILED.*kafka-acls/),
  })
  for (const type of ['POLICY_VIOLATION', 'INVALID_REPLICATION_FACTOR', 'INVALID_CONFIG'])
    expect(toBrokerError(protocolError(type, 'a'), 'kafka://h:1')).toMatchObject({ code: 'BROKER_REFUSED' })
  const away = told('KafkaJSConnectionError', 'Connection error: connect ECONNREFUSED 127.0.0.1:1')
  expect(toBrokerError(away, 'kafka://h:1')).toMatchObject({
    code: 'BROKER_UNAVAILABLE',
    message: expect.stringMatching(/kafka:\/\/h:1: connect ECONNREFUSED/),
  })
  const own = new BrokerError('BROKER_UNAVAILABLE', 'x')
  expect(toBrokerError(own, 'kafka://h:1')).toBe(own)
  await expect(throughSeam('kafka://h:1', () => Promise.reject(DENIED))).rejects.toBeInstanceOf(BrokerError)
  await expect(throughSeam('kafka://h:1', () => Promise.resolve(5))).resolves.toBe(5)
})

test.each([
  [
    told('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed: Authentication failed'),
    /'ann' was refused.*password/,
  ],
  [
    told('KafkaJSSASLAuthenticationError', 'SASL PLAIN mechanism is not supported by the server'),
    /not supported.*sasl: \{ mechanism \}/,
  ],
  [
    told(
      'KafkaJSSASLAuthenticationError',
      'SASL SCRAM SHA256 authentication failed: invalid credentials with SASL mechanism SCRAM-SHA-256',
    ),
    /'ann' was refused/,
  ],
  [protocolError('UNSUPPORTED_SASL_MECHANISM', 'the broker does not support it'), /sasl: \{ mechanism \}/],
  [
    told('KafkaJSConnectionError', 'Failed to connect: error:0480006C:PEM routines::no start line'),
    /TLS failed: error:.*ca, cert/,
  ],
  [protocolError('SASL_AUTHENTICATION_FAILED', 'x'), /kafka\(\{ sasl \}\)/],
  [
    told('KafkaJSConnectionError', 'Connection error: self-signed certificate in certificate chain'),
    /TLS failed.*ca, cert/,
  ],
  [
    told('KafkaJSConnectionError', 'Connection error: SSL routines:ssl3_get_record:wrong version number'),
    /TLS failed.*speaks TLS/,
  ],
  [
    told('KafkaJSServerDoesNotSupportApiKey', 'The Kafka server does not support the requested API version'),
    /too old.*2\.4/,
  ],
])('%s ends connecting with advice', (error, advice) => {
  expect(refusalText(error, 'ann')).toMatch(advice)
})

test.each([
  'connect ECONNREFUSED 127.0.0.1:1',
  'Connection timeout',
  'getaddrinfo ENOTFOUND certainly.example',
  'Closed connection',
  'getaddrinfo EAI_AGAIN certificate-store.example',
])('%s is dialled again', (text) => {
  expect(refusalText(told('KafkaJSConnectionError', `Connection error: ${text}`), undefined)).toBeUndefined()
})

test("the server's words are shown without the library's", () => {
  expect(shortOf(told('KafkaJSConnectionError', 'Connection error: read ECONNRESET'))).toBe('read ECONNRESET')
  expect(shortOf(new Error('node 3 is not known'))).toBe('node 3 is not known')
})
