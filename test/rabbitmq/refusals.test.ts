import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { connect } from '../../broker-adapters/connect.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { freePorts } from '../../scripts/brokers/processes.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { startRabbitmq, type OwnRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')
const echo = defineService('echo', { methods: { say: method({ input: type<string>(), output: type<string>() }) } })

/** Less than any time-out that is given here, and than its default. */
const AT_ONCE_MS = 8_000
const LONG_MS = 30_000

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  const startedAt = performance.now()
  const error = await work.then(
    () => 'it worked',
    (reason: unknown) => reason,
  )
  expect(performance.now() - startedAt).toBeLessThan(AT_ONCE_MS)
  return error
}
const refused = (advice: RegExp) => ({ code: 'BROKER_REFUSED', message: expect.stringMatching(advice) as unknown })

/** A client and a worker that nobody started yet. */
function makePair(url: string) {
  const namespace = `p${randomBytes(5).toString('hex')}`
  const lines: LogLine[] = []
  const options = { namespace, log: (line: LogLine) => void lines.push(line) }
  const client = createClient(url, { ...options, connectTimeoutMs: LONG_MS })
  const worker = createWorker(url, { ...options, connectTimeoutMs: LONG_MS }).serve(echo, { say: (text) => text })
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
  })
  return { client, worker, lines }
}

/** Users of a server of one's own. */
describe.skipIf(!hasPackage)('what an operator has to mend is said at once', { timeout: 60_000 }, () => {
  let server: OwnRabbitmq
  beforeAll(async () => {
    server = await startRabbitmq()
    const rights = { 'no-configure': ['^$', '.*', '.*'], 'no-write': ['.*', '^$', '.*'], 'no-read': ['.*', '.*', '^$'] }
    await server.ctl('add_user', 'stranger', 'secret')
    for (const [user, patterns] of Object.entries(rights)) {
      await server.ctl('add_user', user, 'secret')
      await server.ctl('set_permissions', user, ...patterns)
    }
  }, 90_000)
  afterAll(() => server.end(), 60_000)
  const urlOf = (user: string, rest = '', password = 'secret'): string =>
    `amqp://${user}:${password}@127.0.0.1:${server.port}${rest}`

  test.each([
    ['a wrong password', () => urlOf('stranger', '', 'wrong-one'), /'stranger' was refused.*password/],
    ['no such user', () => urlOf('nobody'), /'nobody' was refused/],
    ['no such vhost', () => urlOf('stranger', '/missing'), /vhost 'missing' is missing.*add_vhost missing/],
    ['a vhost that is not for this user', () => urlOf('stranger'), /set_permissions -p \/ stranger/],
    ['no right to configure', () => urlOf('no-configure'), /set_permissions/],
  ])('%s: for all that connect', async (_, url, advice) => {
    const { client, worker } = makePair(url())
    const tries = [
      connect(url(), { connectTimeoutMs: LONG_MS }),
      client.ready(),
      worker.start(),
      client.service(echo).say('a', { timeoutMs: LONG_MS }),
    ]
    const errors = await Promise.all(tries.map(failureOf))
    for (const error of errors) {
      expect(error).toMatchObject(refused(advice))
      expect(String(error)).not.toMatch(/secret|wrong-one/)
    }
    expect(errors[3]).toMatchObject({ executed: 'no' })
  })

  test('no right to write, or to read: a call fails at once, and so does a worker that may not read', async () => {
    for (const user of ['no-write', 'no-read']) {
      const { client } = makePair(urlOf(user))
      const error = await failureOf(client.service(echo).say('a', { timeoutMs: LONG_MS }))
      expect(error).toMatchObject({ ...refused(/set_permissions/), executed: 'no' })
    }
    expect(await failureOf(makePair(urlOf('no-read')).worker.start())).toMatchObject(refused(/set_permissions/))
  })

  test('a broker that is away: a call waits until its own deadline, and has not run', async () => {
    const [port] = await freePorts(1)
    const { client } = makePair(`amqp://127.0.0.1:${port}`)
    const startedAt = performance.now()
    const error = await client
      .service(echo)
      .say('a', { timeoutMs: 1_500 })
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_400)
    await expect(client.ready({ timeoutMs: 500 })).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  })
})
