import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { freePorts } from '../../scripts/brokers/processes.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')
const echo = defineService('echo', { methods: { say: method({ input: type<string>(), output: type<string>() }) } })

/** Less than any time-out that is given here, and than its default. */
const AT_ONCE_MS = 8_000
const LONG_MS = 10_000

/** Each may do everything but this one command. */
const COMMANDS = ['evalsha', 'eval', 'xadd', 'xread', 'subscribe', 'publish', 'bzpopmin', 'info', 'hget', 'zadd']
const SECRET = 'topsecret'

const USERS = [
  'default on >topsecret ~* &* +@all',
  'whole on >topsecret ~* &* +@all',
  'no-keys on >topsecret ~other:* &* +@all',
  'no-channels on >topsecret ~* resetchannels +@all',
  'off off >topsecret ~* &* +@all',
  ...COMMANDS.map((command) => `no-${command} on >topsecret ~* &* +@all -${command}`),
]

/** How it ended: with what it gave, or its error. Not to take long. */
async function endOf(work: Promise<unknown>): Promise<unknown> {
  const startedAt = performance.now()
  const end = await work.catch((reason: unknown) => reason)
  const tookMs = performance.now() - startedAt
  expect({ end: String(end), isAtOnce: tookMs < AT_ONCE_MS }).toMatchObject({ isAtOnce: true }) // which shows the end
  expect(String(end)).not.toMatch(/topsecret|wrong-one/)
  return end
}
const refused = (advice: RegExp) => ({ code: 'BROKER_REFUSED', message: expect.stringMatching(advice) as unknown })

/** A client and a worker that nobody started yet, each as its user. */
function makePair(url: string, workersUrl = url) {
  const namespace = `p${randomBytes(5).toString('hex')}`
  const options = { namespace, log: () => {}, connectTimeoutMs: LONG_MS }
  const client = createClient(url, options)
  const worker = createWorker(workersUrl, options).serve(echo, { say: (text) => text })
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
  })
  return { client, worker }
}

/** Users of a server of one's own. */
describe.skipIf(!hasPackage)('what an operator has to mend is said at once', { timeout: 60_000 }, () => {
  let server: OwnRedis
  beforeAll(async () => {
    server = await startRedis({ config: USERS.map((user) => `user ${user}`).join('\n') })
  }, 60_000)
  afterAll(() => server.end(), 60_000)
  const urlOf = (user: string, { password = SECRET, rest = '' } = {}): string =>
    `redis://${user}:${password}@127.0.0.1:${server.port}${rest}`

  test.each([
    ['a wrong password', () => urlOf('whole', { password: 'wrong-one' }), /'whole' was refused.*password/],
    ['no such user', () => urlOf('nobody'), /'nobody' was refused/],
    ['a user that is switched off', () => urlOf('off'), /'off' was refused/],
    ['no password', () => server.url, /wants a password/],
    ['a wrong password of the default user', () => urlOf('', { password: 'wrong-one' }), /'default' was refused/],
    ['no such database', () => urlOf('whole', { rest: '/99' }), /database/],
  ])('%s: for all that connect', async (_, url, advice) => {
    const { client, worker } = makePair(url())
    const tries = [
      connect(url(), { connectTimeoutMs: LONG_MS }),
      client.ready(),
      worker.start(),
      client.service(echo).say('a', { timeoutMs: LONG_MS }),
    ]
    const ends = await Promise.all(tries.map(endOf))
    for (const end of ends) expect(end).toMatchObject(refused(advice))
    expect(ends[3]).toMatchObject({ executed: 'no' })
  })

  test('a user who may do everything needs no other', async () => {
    const { client, worker } = makePair(urlOf('whole'))
    await worker.start()
    expect(await client.service(echo).say('a')).toBe('a')
  })

  test.each(['keys', 'channels'])('no right to our %s: both sides are refused', async (kind) => {
    const { client, worker } = makePair(urlOf(`no-${kind}`))
    expect(await endOf(worker.start())).toMatchObject(refused(/ACL SETUSER/))
    const call = client.service(echo).say('a', { timeoutMs: LONG_MS })
    expect(await endOf(call)).toMatchObject(refused(/ACL SETUSER/))
  })

  describe.each(COMMANDS)('no right to %s: it is not needed, or its lack is named at once', (command) => {
    const lack = expect.objectContaining(refused(new RegExp(`\\b${command}\\b.*ACL SETUSER`, 'is'))) as unknown

    test('for a client', async () => {
      const { client, worker } = makePair(urlOf(`no-${command}`), urlOf('whole'))
      await worker.start()
      const end = await endOf(client.service(echo).say('a', { timeoutMs: LONG_MS }))
      expect(['a', lack]).toContainEqual(end)
    })

    test('for a worker', async () => {
      const { client, worker } = makePair(urlOf('whole'), urlOf(`no-${command}`))
      const started = await endOf(worker.start().then(() => client.service(echo).say('a', { timeoutMs: LONG_MS })))
      expect(['a', lack]).toContainEqual(started)
    })
  })

  test('a broker that is away: a call waits until its own deadline, and has not run', async () => {
    const [port] = await freePorts(1)
    const { client } = makePair(`redis://127.0.0.1:${port}`)
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
