import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import type { RabbitmqTls } from '../../broker-adapters/rabbitmq/options.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { freePorts } from '../../scripts/brokers/processes.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { makeCertificates } from '../support/certificates.ts'
import { startRabbitmq, type OwnRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')
const echo = defineService('echo', { methods: { say: method({ input: type<string>(), output: type<string>() }) } })

/** Servers of one's own take all clients, and only those with a certificate. */
describe.skipIf(!hasPackage)('TLS', { timeout: 60_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-tls-'))
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8')
  const servers: OwnRabbitmq[] = []
  let open = ''
  let strict = ''

  async function start(more: string): Promise<string> {
    const [port] = await freePorts(1)
    const config = `listeners.ssl.local = 127.0.0.1:${port}
ssl_options.cacertfile = ${dir}/ca.pem
ssl_options.certfile = ${dir}/server.pem
ssl_options.keyfile = ${dir}/server.key
${more}`
    servers.push(await startRabbitmq({ config }))
    return `amqps://guest:guest@127.0.0.1:${port}`
  }
  beforeAll(async () => {
    makeCertificates(dir)
    ;[open, strict] = await Promise.all([
      start('ssl_options.verify = verify_none'),
      start('ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true'),
    ])
  }, 90_000)
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.end()))
    rmSync(dir, { recursive: true, force: true })
  }, 60_000)

  async function callOver(url: string, tls: RabbitmqTls): Promise<string> {
    const target = rabbitmq({ url, tls })
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
  async function refusalOf(url: string, tls: RabbitmqTls): Promise<unknown> {
    const startedAt = performance.now()
    const error = await connect(rabbitmq({ url, tls }), { connectTimeoutMs: 30_000 }).then(
      (broker) => broker.close(),
      (reason: unknown) => reason,
    )
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
    expect(await refusalOf(open, {})).toMatchObject(refused(/TLS failed: .*tls: \{ ca/))
    const other = await refusalOf(open, { ca: read('ca.pem'), servername: 'elsewhere.example' })
    expect(other).toMatchObject(refused(/TLS failed: .*servername/))
  })

  test('a port that speaks no TLS is refused and says so', async () => {
    const url = servers[0]?.url.replace('amqp:', 'amqps:') ?? ''
    expect(await refusalOf(url, {})).toMatchObject(refused(/whether the port speaks TLS/))
  })

  test('the certificate of the client lets it in; without one it is refused and says what to do', async () => {
    const tls = { ca: read('ca.pem'), cert: read('client.pem'), key: read('client.key') }
    expect(await callOver(strict, tls)).toBe('hello!')
    expect(await refusalOf(strict, { ca: read('ca.pem') })).toMatchObject(refused(/TLS failed: .*cert, key/))
  })
})
