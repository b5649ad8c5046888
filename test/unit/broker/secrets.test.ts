import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Broker, ConnectOptions, LogLine } from '../../../broker-adapters/broker.ts'
import { connect, openBroker } from '../../../broker-adapters/connect.ts'
import { embedded } from '../../../broker-adapters/embedded/index.ts'
import { createLog } from '../../../broker-adapters/log.ts'
import { createClient } from '../../../client/index.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { createWorker } from '../../../worker/index.ts'
import { createScripted } from '../../support/scripted-adapter.ts'
import { errorOf } from '../../support/scripted-client.ts'
import { until } from '../worker/support/caller.ts'
import { runWorker } from '../worker/support/run-worker.ts'

const URL_WITH_SECRET = 'amqp://me:hun#ter2@host:5672/x?password=hunter2'
const SECRET_OPTIONS = { sasl: { mechanism: 'plain', username: 'me', password: 'hunter2' }, brokers: [URL_WITH_SECRET] }

/** What Node prints, JSON, and every text of the error and its causes. */
function textsOf(error: unknown): string {
  const texts = [inspect(error, { depth: 20, showHidden: true, maxStringLength: null }), JSON.stringify(error)]
  for (let at: unknown = error, left = 9; at instanceof Error && left > 0; at = at.cause, left--)
    texts.push(String(at), at.stack ?? '', JSON.stringify(at), JSON.stringify(Object.entries(at)))
  return texts.join('\n')
}
function expectClean(text: string): void {
  expect(text).not.toMatch(/hun#?ter2?/)
}
function thrownBy(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  return expect.unreachable('it was to throw')
}

let lines: LogLine[] = []
let stderr = ''
const brokers: Broker[] = []
const log = (line: LogLine): void => void lines.push(line)
beforeEach(() => {
  lines = []
  stderr = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true))
})
/** Whatever the test looked at besides. */
afterEach(async () => {
  for (const broker of brokers.splice(0)) await broker.close({ graceMs: 0 })
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  expectClean(JSON.stringify(lines))
  expectClean(stderr)
})

test.each([
  URL_WITH_SECRET,
  'amqps://me:hunter2@host:port',
  'redis://:hunter2@host:port',
  'rediss://me:hunter2@ho st',
  'nats://me:hunter2@a,nats://me:hunter2@b',
  'amqp//me:hunter2@host',
  'me:hunter2@host',
  'memory://me:hunter2@host',
  'memory:hunter?password=hunter2'.replace('hunter?', 'x?'),
])('a URL that is none or not yet known: %s', async (url) => {
  vi.stubEnv('REPLYTO_URL', url)
  for (const act of [
    () => createClient(url),
    () => createWorker(url),
    () => createClient(),
    () => openBroker(),
    () => openBroker([url, url]),
    () => openBroker([url]),
  ]) {
    const error = thrownBy(act)
    expect(error).toMatchObject({ code: 'CONFIG' })
    expectClean(textsOf(error))
  }
  expectClean(textsOf(await errorOf(connect(url))))
})

test('options of the wrong kind, with secrets in them', async () => {
  const wrong = SECRET_OPTIONS as unknown as number & string // what a JavaScript user may pass
  const acts: (() => unknown)[] = [
    () => createClient('memory:', { sasl: SECRET_OPTIONS.sasl } as ConnectOptions),
    () => createClient(SECRET_OPTIONS as never),
    () => createClient('memory:', URL_WITH_SECRET as never),
    () => createClient('memory:', { connectTimeoutMs: wrong }),
    () => createClient('memory:', { name: wrong }),
    () => createClient('memory:', { validate: wrong }),
    () => createWorker('memory:', { concurrency: wrong }),
    () => createWorker('memory:', { group: URL_WITH_SECRET }),
    () => createWorker('memory:', { validate: wrong }),
    () => openBroker('memory:', { namespace: wrong }),
    () => embedded({ dir: wrong }),
    () => embedded({ dir: 'x', durability: wrong }),
    () => defineService('x', { version: wrong, methods: {} }),
  ]
  for (const act of acts) {
    const error = thrownBy(act)
    expect(error).toMatchObject({ code: 'CONFIG' })
    expectClean(textsOf(error))
  }
})

test('a broker that cannot be started, with all that its library knows in the error', async () => {
  const cause = Object.assign(new TypeError('Invalid URL'), { input: URL_WITH_SECRET })
  const thrown = Object.assign(new Error(`Invalid URL: ${URL_WITH_SECRET}`, { cause }), { options: SECRET_OPTIONS })
  const scripted = createScripted({ start: () => Promise.reject(thrown) })
  const target = { ...scripted.target, url: URL_WITH_SECRET }
  const error = await errorOf(connect(target, { log }))
  expect(error).toMatchObject({ code: 'BROKER_REFUSED' })
  expect(error.message).toContain('amqp://***@host:5672/x')
  expectClean(textsOf(error))
  const service = defineService('s', { methods: { go: method({}) } })
  await using client = createClient(target, { log })
  expectClean(textsOf(await errorOf(client.service(service).go())))
})

test('what is refused, is away or cannot store says so without them', async () => {
  const service = defineService('s', { methods: { go: method({ input: type<string>() }) } })
  const scripted = createScripted()
  const broker = await connect({ ...scripted.target, url: URL_WITH_SECRET }, { log })
  brokers.push(broker)
  expect(broker.url).toBe('amqp://***@host:5672/x?password=***')
  const client = createClient(broker)
  const stub = client.service(service)
  scripted.outcome = () => ({ status: 'refused', reason: `ACCESS_REFUSED for ${URL_WITH_SECRET}` })
  const errors = [await errorOf(stub.go('x'))]
  scripted.outcome = () => ({ status: 'notSent', reason: `not sent to ${URL_WITH_SECRET}` })
  errors.push(await errorOf(stub.go('x', { timeoutMs: 30 })))
  scripted.say('down', `connect to ${URL_WITH_SECRET} failed`)
  errors.push(await errorOf(stub.go('x', { failFast: true })))
  await until(() => lines.some(({ code }) => code === 'BROKER_DOWN'), 'it says that it is down')
  scripted.say('refused', `login refused: ${JSON.stringify(SECRET_OPTIONS)}`)
  errors.push(await errorOf(stub.go('x')))
  expect(lines.map(({ code }) => code)).toEqual(expect.arrayContaining(['BROKER_DOWN', 'BROKER_REFUSED']))
  for (const error of errors) {
    expect(error.code).toMatch(/^[A-Z_]+$/)
    expectClean(textsOf(error))
  }
})

test('a handler that throws them: neither the log, nor the dead letter, nor the caller has them', async () => {
  const service = defineService('s', {
    methods: {
      note: method({ input: type<string>(), oneWay: true, retry: { attempts: 2, minDelayMs: 1 } }),
      go: method({ input: type<string>() }),
    },
  })
  const fail = (): never => {
    throw new Error(`cannot reach ${URL_WITH_SECRET}: ${JSON.stringify(SECRET_OPTIONS)}`)
  }
  await using run = await runWorker(service, { note: fail, go: fail })
  const { error } = await run.caller.call('go', { input: 'x' })
  await run.caller.publish('note', { input: 'x', message: { type: 'send' } })
  await until(async () => (await run.caller.deadLetters()).length === 1, 'the send is a dead letter')
  const letters = await run.caller.deadLetters()
  expect(letters[0]?.reason).toContain('amqp://***@host')
  expect(run.log.map(({ message }) => message).join('\n')).toContain('amqp://***@host')
  expectClean(JSON.stringify([error, letters.map(({ reason }) => reason), run.log]))
})

test('listeners that reject are told in the log, and are no unhandled rejections', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  try {
    const reject: () => unknown = async () => Promise.reject(new Error(`no disk at ${URL_WITH_SECRET}`))
    createLog(reject, () => 0).write('warn', 'A', 'said all the same')
    await until(() => stderr.includes('said all the same'), 'stderr has the line')
    const scripted = createScripted()
    const broker = await connect(scripted.target, { log })
    brokers.push(broker)
    broker.onState(reject)
    scripted.say('down')
    await until(() => lines.some(({ code }) => code === 'LISTENER'), 'the log has the listener')
    await new Promise((resolve) => setImmediate(resolve))
    expect(lines.find(({ code }) => code === 'LISTENER')?.message).toContain('no disk')
    expect(unhandled).not.toHaveBeenCalled()
  } finally {
    process.off('unhandledRejection', unhandled)
  }
})
