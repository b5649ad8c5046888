/**
 * The one table of the library's error codes. docs/errors.md lists exactly these rows (a test compares them), each class
 * of errors.ts carries the codes of its rows, and each code survives the wire.
 *
 * `retryable`: making the same call again may succeed without anybody changing anything.
 */
export const ERROR_CODES = {
  TIMEOUT: { by: 'CallError', retryable: true, sentence: 'The deadline passed before an answer came.' },
  CANCELLED: { by: 'CallError', retryable: false, sentence: 'The caller cancelled the call.' },
  OVERLOADED: {
    by: 'CallError',
    retryable: true,
    sentence: 'A bound was reached: outbox, waiting calls or nesting depth.',
  },
  NO_WORKER: { by: 'CallError', retryable: true, sentence: 'failFast was asked for and no worker consumes the queue.' },
  CLOSED: { by: 'CallError', retryable: false, sentence: 'The client, worker or broker was closed.' },
  PAYLOAD_TOO_LARGE: {
    by: 'CallError',
    retryable: false,
    sentence: 'Input or output is larger than maxPayloadBytes or than the broker takes.',
  },
  INVALID_INPUT: {
    by: 'CallError',
    retryable: false,
    sentence: 'The input does not fit the contract or cannot be encoded.',
  },
  NOT_KEPT: { by: 'CallError', retryable: false, sentence: 'No kept result is stored under this id.' },
  CIRCUIT_OPEN: { by: 'CallError', retryable: true, sentence: 'Reserved: the circuit breaker is open.' },
  RATE_LIMITED: { by: 'CallError', retryable: true, sentence: 'Reserved: the rate limit is reached.' },
  HANDLER_FAILED: {
    by: 'RemoteError',
    retryable: true,
    sentence: 'The handler threw; its own error is in the log of the worker.',
  },
  ATTEMPT_TIMEOUT: {
    by: 'RemoteError',
    retryable: true,
    sentence: 'The handler ran longer than attemptTimeoutMs or the deadline and ignored its signal.',
  },
  INVALID_OUTPUT: {
    by: 'RemoteError',
    retryable: false,
    sentence: 'What the handler returned does not fit the contract or cannot be encoded.',
  },
  UNKNOWN_METHOD: { by: 'RemoteError', retryable: false, sentence: 'The worker has no such method in its contract.' },
  INVALID_MESSAGE: { by: 'RemoteError', retryable: false, sentence: 'The message could not be decoded.' },
  CRASHED: {
    by: 'RemoteError',
    retryable: false,
    sentence: 'The message came back from its workers too often: it seems to end them.',
  },
  EXPIRED: {
    by: 'RemoteError',
    retryable: true,
    sentence: 'The deadline had passed when a worker got the call; it was not run.',
  },
  BROKER_UNAVAILABLE: { by: 'BrokerError', retryable: true, sentence: 'The broker could not be reached.' },
  BROKER_REFUSED: {
    by: 'BrokerError',
    retryable: false,
    sentence: 'The broker refused, and dialling again cannot mend it.',
  },
  CONFIG: { by: 'ConfigError', retryable: false, sentence: 'The code or the options that use the library are wrong.' },
} as const satisfies Record<string, { by: ErrorClass; retryable: boolean; sentence: string }>

export type ErrorClass = 'CallError' | 'RemoteError' | 'BrokerError' | 'ConfigError'
export type ErrorCode = keyof typeof ERROR_CODES
export type CodeOf<Class extends ErrorClass> = {
  [C in ErrorCode]: (typeof ERROR_CODES)[C]['by'] extends Class ? C : never
}[ErrorCode]

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code)
}
