import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import type { KafkaOptions } from '../../broker-adapters/kafka/index.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { errorOf } from '../conformance/probe.ts'
import { makeCertificates } from '../support/certificates.ts'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { SHORT_SESSIONS, small } from './targets.ts'

const { url = '', hasPackage } = inject('kafka')
const echo = defineService('echo', { methods: { say: method({ input: type<string>(), output: type<string>() }) } })

type Tls = KafkaOptions['ssl']

/** Servers of one's own take all clients, and only those with a certificate. */
describe.skipIf(!hasPackage)('TLS', { timeout: 60_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-tls-'))
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8')
  const servers: OwnKafka[] = []
  let open = ''
  let strict = ''

  async function start(isMutual: boolean): Promise<string> {
    const tls = { ca: read('ca.pem'), cert: read('server.pem'), key: read('server.key'), isMutual }
    const server = await startKafka({ tls, config: SHORT_SESSIONS })
    servers.push(server)
    return server.url
  }
  beforeAll(async () => {
    makeCertificates(dir)
    ;[open, strict] = await Promise.all([start(false), start(true)])
  }, 90_000)
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.end()))
    rmSync(dir, { recursive: true, force: true })
  }, 60_000)

  async function callOver(server: string, ssl: Tls): Promise<string> {
    const target = small(server, { ssl })
    const options = { namespace: `t${randomBytes(5).toString('hex')}` }
    const worker = createWorker(target, options).serve(echo, { say: (text) => `${text}!` })
    const client = createClient(target, options)
    onTestFinished(async () => {
      await Promise.all([client.close({ graceMs: 0 }), worker.close({ graceMs: 0 })])
    })
    await worker.start()
    return client.service(echo).say('hello')
  }
  /** Refused at once, not when its time is over. */
  async function refusalOf(server: string, ssl: Tls): Promise<unknown> {
    const startedAt = performance.now()
    const error = await errorOf(connect(small(server, { ssl }), { connectTimeoutMs: 30_000 }))
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    return error
  }
  const refused = (advice: RegExp) => ({
    code: 'BROKER_REFUSED',
    message: expect.stringMatching(advice) as unknown,
  })

  test('with the authority that signed the server, calls work', async () => {
    expect(await callOver(open, { ca: read('ca.pem') })).toBe('hello!')
    expect(await callOver(open, { ca: [Buffer.from(read('ca.pem'))], servername: 'localhost' })).toBe('hello!')
  })

  test('without it, or with another name, it is refused and says what to do', async () => {
    expect(await refusalOf(open, true)).toMatchObject(refused(/TLS failed: .*ssl: \{ ca/))
    const other = await refusalOf(open, { ca: read('ca.pem'), servername: 'elsewhere.example' })
    expect(other).toMatchObject(refused(/TLS failed: .*servername/))
  })

  test('an authority that is no certificate is refused', async () => {
    expect(await refusalOf(open, { ca: 'nonsense' })).toMatchObject(refused(/TLS failed: .*ssl: \{ ca/))
    expect(await refusalOf(open, { ca: read('ca.pem'), cert: 'nonsense', key: 'nonsense' })).toMatchObject(
      refused(/TLS failed: .*cert, key/),
    )
  })

  test('a port that speaks no TLS, and one that speaks nothing else: they are given up in their time', async () => {
    for (const [server, ssl] of [
      [url, true],
      [open, undefined],
    ] as const) {
      const startedAt = performance.now()
      const trying = connect(small(server, { ssl, dialTimeoutMs: 500 }), { connectTimeoutMs: 2_000, log: () => {} })
      expect((await errorOf(trying)).code).toMatch(/^BROKER_(?:UNAVAILABLE|REFUSED)$/)
      expect(performance.now() - startedAt).toBeLessThan(5_000)
    }
  })

  test('the certificate of the client lets it in; without one it is refused and says what to do', async () => {
    const tls = { ca: read('ca.pem'), cert: read('client.pem'), key: read('client.key') }
    expect(await callOver(strict, tls)).toBe('hello!')
    expect(await refusalOf(strict, { ca: read('ca.pem') })).toMatchObject(refused(/TLS failed: .*cert, key/))
  })
})
