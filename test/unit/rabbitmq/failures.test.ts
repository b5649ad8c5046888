import { expect, test } from 'vitest'
import {
  isDenied,
  isMissing,
  isOtherwise,
  isTaken,
  refusalText,
  shortOf,
  sizeLimitOf,
  toBrokerError,
} from '../../../broker-adapters/rabbitmq/failures.ts'
import { BrokerError } from '../../../protocol/errors.ts'

/** As amqplib tells what the server said. */
function said(code: number, text: string): Error {
  const words = `Channel closed by server: ${code} with message "${text}"`
  return Object.assign(new Error(words), { code })
}
const who = { username: 'ann', vhost: 'shop' }

test('the reply code says what it is', () => {
  const exclusive = said(403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use")
  const denied = said(403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'ann'")
  expect([isTaken(exclusive), isDenied(exclusive)]).toEqual([true, false])
  expect([isTaken(denied), isDenied(denied)]).toEqual([false, true])
  expect(isTaken(said(405, 'RESOURCE_LOCKED'))).toBe(true)
  expect(isMissing(said(404, 'NOT_FOUND'))).toBe(true)
  expect(isOtherwise(said(406, 'PRECONDITION_FAILED'))).toBe(true)
  for (const other of [undefined, '404', { code: 404 }, Object.assign(new Error('x'), { code: 'ECONNRESET' })])
    expect([isTaken, isDenied, isMissing, isOtherwise].map((is) => is(other))).toEqual([false, false, false, false])
})

test('the limit that a server names is read', () => {
  const text = 'PRECONDITION_FAILED - message size 2000000 is larger than configured max size 1000000'
  expect(sizeLimitOf(said(406, text))).toBe(1_000_000)
  expect(sizeLimitOf(said(406, 'PRECONDITION_FAILED - message size 9 is larger than max size 5'))).toBe(5)
  expect(sizeLimitOf(said(406, 'PRECONDITION_FAILED - inequivalent arg'))).toBeUndefined()
  expect(sizeLimitOf('larger than max size 5')).toBeUndefined()
})

test('what only an operator can mend is told with what to do', () => {
  const denied = said(403, "ACCESS_REFUSED - access to queue 'q' in vhost 'shop' refused for user 'ann'")
  const error = toBrokerError(denied, 'amqp://h')
  expect(error).toMatchObject({ code: 'BROKER_REFUSED', message: expect.stringContaining('set_permissions') })
  expect(toBrokerError(new Error('read ECONNRESET'), 'amqp://h')).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  const own = new BrokerError('BROKER_UNAVAILABLE', 'x')
  expect(toBrokerError(own, 'amqp://h')).toBe(own)
})

test.each([
  [said(403, 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN'), /'ann' was refused.*password/],
  [new Error('Handshake terminated by server: 403 (ACCESS-REFUSED)'), /'ann' was refused.*password/],
  [
    new Error('Expected ConnectionOpenOk; got <ConnectionClose channel:0>'),
    /add_vhost shop.*set_permissions -p shop ann/,
  ],
  [new Error('self-signed certificate in certificate chain'), /TLS failed.*tls: \{ ca/],
  [new Error('SSL routines:ssl3_get_record:wrong version number'), /TLS failed.*speaks TLS/],
])('%s ends connecting with advice', (error, advice) => {
  expect(refusalText(error, who)).toMatch(advice)
})

test.each(['connect ECONNREFUSED 127.0.0.1:1', 'connect ETIMEDOUT', 'Socket closed abruptly during opening handshake'])(
  '%s is dialled again',
  (text) => {
    expect(refusalText(new Error(text), who)).toBeUndefined()
  },
)

test("the server's words are shown without amqplib's", () => {
  expect(shortOf(said(404, "NOT_FOUND - no queue 'q'"))).toBe("NOT_FOUND - no queue 'q'")
  expect(shortOf(new Error('read ECONNRESET'))).toBe('read ECONNRESET')
})
