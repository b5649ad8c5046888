import { expect, test } from 'vitest'
import {
  isAnswer,
  isDenied,
  isNotPrimary,
  isOutOfMemory,
  refusalText,
  shortOf,
  throughSeam,
  toBrokerError,
} from '../../../broker-adapters/redis/failures.ts'
import { BrokerError } from '../../../protocol/errors.ts'

/** As ioredis tells what the server said. */
function said(text: string): Error {
  return Object.assign(new Error(text), { name: 'ReplyError' })
}

const OOM = said("OOM command not allowed when used memory > 'maxmemory'.")
const OOM_IN_SCRIPT = said(
  "ERR Error running script: @user_script:7: OOM command not allowed when used memory > 'maxmemory'.",
)
const READONLY = said("READONLY You can't write against a read only replica.")
const READONLY_IN_SCRIPT = said("READONLY You can't write against a read only replica. script: 9c, on @user_script:3.")
const NOPERM = said("NOPERM this user has no permissions to run the 'evalsha' command")

test('what the server said is told from what became of the connection', () => {
  expect(isAnswer(OOM)).toBe(true)
  for (const other of [new Error('Connection is closed.'), undefined, 'OOM', { name: 'ReplyError' }])
    expect(isAnswer(other)).toBe(false)
})

test.each([
  [OOM, [true, false, false]],
  [OOM_IN_SCRIPT, [true, false, false]],
  [READONLY, [false, true, false]],
  [READONLY_IN_SCRIPT, [false, true, false]],
  [said('LOADING Redis is loading the dataset in memory'), [false, true, false]],
  [said("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), [false, true, false]],
  [said('NOREPLICAS Not enough good replicas to write.'), [false, true, false]],
  [NOPERM, [false, false, true]],
  [said('NOAUTH Authentication required.'), [false, false, true]],
  [said('WRONGPASS invalid username-password pair or user is disabled.'), [false, false, true]],
  [said('ERR value is not an integer'), [false, false, false]],
  [said('WRONGTYPE Operation against a key holding the wrong kind of value'), [false, false, false]],
  [new Error('read ECONNRESET'), [false, false, false]],
  [undefined, [false, false, false]],
])('%s: memory, primary, right', (error, is) => {
  expect([isOutOfMemory(error), isNotPrimary(error), isDenied(error)]).toEqual(is)
})

test('what only an operator can mend is told with what to do, and passes the seam as an error of ours', async () => {
  expect(toBrokerError(NOPERM, 'redis://h')).toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringMatching(/redis:\/\/h: NOPERM.*'evalsha'.*ACL SETUSER/),
  })
  expect(toBrokerError(new Error('read ECONNRESET'), 'redis://h')).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  const own = new BrokerError('BROKER_UNAVAILABLE', 'x')
  expect(toBrokerError(own, 'redis://h')).toBe(own)
  await expect(throughSeam('redis://h', () => Promise.reject(NOPERM))).rejects.toBeInstanceOf(BrokerError)
  await expect(throughSeam('redis://h', () => Promise.resolve(5))).resolves.toBe(5)
})

test.each([
  [said('WRONGPASS invalid username-password pair or user is disabled.'), /'ann' was refused.*password/],
  [said('ERR invalid password'), /'ann' was refused/],
  [said('NOAUTH Authentication required.'), /wants a password: redis:\/\/:password@host/],
  [
    said('ERR AUTH <password> called without any password configured for the default user. Are you sure?'),
    /none for this user.*ACL SETUSER/,
  ],
  [NOPERM, /'evalsha'.*ACL SETUSER/],
  [said('ERR DB index is out of range'), /no database of this number/],
  [new Error('self-signed certificate in certificate chain'), /TLS failed.*ca, cert/],
  [new Error('SSL routines:ssl3_get_record:wrong version number'), /TLS failed.*speaks TLS/],
])('%s ends connecting with advice', (error, advice) => {
  expect(refusalText(error, 'ann')).toMatch(advice)
})

test.each(['connect ECONNREFUSED 127.0.0.1:1', 'connect ETIMEDOUT', 'Connection is closed.', READONLY.message])(
  '%s is dialled again',
  (text) => {
    expect(refusalText(new Error(text), undefined)).toBeUndefined()
  },
)

test('without a name in the URL it is the default user who is refused', () => {
  expect(refusalText(said('WRONGPASS invalid username-password pair'), undefined)).toContain("'default'")
})

test("the server's words are shown without the library's", () => {
  expect(shortOf(said('ERR syntax error'))).toBe('ERR syntax error')
  expect(shortOf(new Error('read ECONNRESET'))).toBe('read ECONNRESET')
})
