import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { AdapterFactory } from '../../broker-adapters/adapter.ts'
import { connect } from '../../broker-adapters/connect.ts'
import type { KafkaLogin } from '../../broker-adapters/kafka/index.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { goesOn, startLoad } from '../support/load.ts'
import { SHORT_SESSIONS, small } from './targets.ts'

const { hasPackage } = inject('kafka')
const echo = defineService('echo', { methods: { say: method({ input: type<string>(), output: type<string>() }) } })

/** Less than any time-out that is given here, and than its default. */
const AT_ONCE_MS = 8_000
const LONG_MS = 10_000
const SECRET = 'topsecret'

/** How it ended: with what it gave, or its error. Not to take long, and to show no secret. */
async function endOf(work: Promise<unknown>): Promise<unknown> {
  const startedAt = performance.now()
  const end = await work.catch((reason: unknown) => reason)
  const isAtOnce = performance.now() - startedAt < AT_ONCE_MS
  expect({ end: String(end), isAtOnce }).toMatchObject({ isAtOnce: true }) // which shows the end
  expect(String(end)).not.toMatch(/topsecret|wrong-one/)
  return end
}
const refused = (advice: RegExp) => ({ code: 'BROKER_REFUSED', message: expect.stringMatching(advice) as unknown })

function makePair(target: AdapterFactory) {
  const options = { namespace: `p${randomBytes(5).toString('hex')}`, log: () => {}, connectTimeoutMs: LONG_MS }
  const client = createClient(target, options)
  const worker = createWorker(target, options).serve(echo, { say: (text) => text })
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
  })
  return { client, worker }
}

/** Users of a server of one's own, which takes no SCRAM of 512 bits. */
describe.skipIf(!hasPackage)('who may log in', { timeout: 60_000 }, () => {
  let server: OwnKafka
  beforeAll(async () => {
    const mechanisms = 'listener.name.client.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n'
    const brief = 'listener.name.client.scram-sha-256.connections.max.reauth.ms=12000\n'
    server = await startKafka({ users: { ann: SECRET }, config: `${SHORT_SESSIONS}${mechanisms}${brief}` })
  }, 90_000)
  afterAll(() => server.end(), 60_000)

  const as = (username: string, password: string, mechanism?: KafkaLogin['mechanism']): AdapterFactory =>
    small(server.url, { sasl: { username, password, mechanism } })

  test.each(['plain', 'scram-sha-256'] as const)('by %s with the right password: calls work', async (mechanism) => {
    const { client, worker } = makePair(as('ann', SECRET, mechanism))
    await worker.start()
    expect(await client.service(echo).say('a')).toBe('a')
  })

  test('the login may stand in the URL', async () => {
    const broker = await connect(server.url.replace('kafka://', `kafka://ann:${SECRET}@`))
    expect(broker.state).toBe('up')
    await broker.close()
  })

  test('a login that runs out is renewed, and nothing is lost', async () => {
    const load = await startLoad(() => as('ann', SECRET, 'scram-sha-256'))
    for (const until = performance.now() + 14_000; performance.now() < until;) await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test.each([
    ['a wrong password', () => as('ann', 'wrong-one'), /'ann' was refused.*password/],
    ['a wrong password by SCRAM', () => as('ann', 'wrong-one', 'scram-sha-256'), /'ann' was refused.*password/],
    ['no such user', () => as('nobody', SECRET), /'nobody' was refused/],
    ['a mechanism that the server has not', () => as('ann', SECRET, 'scram-sha-512'), /sasl: \{ mechanism \}/],
  ])('%s: all that connect are refused, with what to do', async (_, target, advice) => {
    const { client, worker } = makePair(target())
    const tries = [
      connect(target(), { connectTimeoutMs: LONG_MS }),
      client.ready(),
      worker.start(),
      client.service(echo).say('a', { timeoutMs: LONG_MS }),
    ]
    const ends = await Promise.all(tries.map(endOf))
    for (const end of ends) expect(end).toMatchObject(refused(advice))
    expect(ends[3]).toMatchObject({ executed: 'no' })
  })

  test('no login at all: it is given up in its time, or refused', async () => {
    const end = await endOf(connect(small(server.url), { connectTimeoutMs: 3_000, log: () => {} }))
    expect(end).toMatchObject({ code: expect.stringMatching(/^BROKER_(?:REFUSED|UNAVAILABLE)$/) as unknown })
  })
})
