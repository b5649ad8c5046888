import { randomBytes } from 'node:crypto'
import { connect } from 'amqplib'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'

const { url, whyNot } = inject('rabbitmq')
const echo = defineService('echo', { methods: { size: method({ input: type<string>(), output: type<number>() }) } })
const MIB = 1024 * 1024

function makePair(more: { readonly maxMessageBytes?: number; readonly maxPayloadBytes?: number } = {}) {
  const { maxMessageBytes, maxPayloadBytes } = more
  const namespace = `q${randomBytes(5).toString('hex')}`
  const lines: LogLine[] = []
  const target = rabbitmq({ url: url ?? '', maxMessageBytes })
  const options = { namespace, maxPayloadBytes, log: (line: LogLine) => void lines.push(line) }
  const client = createClient(target, options)
  const worker = createWorker(target, options).serve(echo, { size: (text) => text.length })
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
  })
  return { namespace, lines, client, worker, size: client.service(echo).size }
}

describe.skipIf(url === undefined)(`odd queues and large messages${url === undefined ? ` [${whyNot}]` : ''}`, () => {
  test.each([
    ['a classic one', { 'x-queue-type': 'classic' }],
    ['one with another delivery limit', { 'x-queue-type': 'quorum', 'x-delivery-limit': 7 }],
  ])('%s that is there is used as it is, with one warning of each connection', async (_, args) => {
    const { namespace, lines, worker, size } = makePair()
    const model = await connect(url ?? '')
    onTestFinished(() => model.close())
    const channel = await model.createChannel()
    const name = `${namespace}.q.default.echo.v1`
    await channel.assertQueue(name, { durable: true, arguments: args })
    await worker.start()
    expect(await Promise.all(['a', 'bb', 'ccc'].map((text) => size(text)))).toEqual([1, 2, 3])
    const warnings = lines.filter(({ code }) => code === 'RABBITMQ_QUEUE')
    expect(warnings).toHaveLength(2) // one of the client, one of the worker
    for (const { level, message } of warnings) expect([level, message]).toEqual(['warn', expect.stringContaining(name)])
  })

  test('a message of 20 MB is refused by default, and its neighbours pass', async () => {
    const { worker, size } = makePair({ maxPayloadBytes: 64 * MIB })
    await worker.start()
    const neighbours = Array.from({ length: 20 }, (_, length) => 'x'.repeat(length))
    const all = neighbours.map((text) => size(text))
    const large = size('x'.repeat(20 * MIB))
    await expect(large).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'no' })
    expect(await Promise.all(all)).toEqual(neighbours.map((text) => text.length))
  })

  test('it passes where the options allow it', async () => {
    const { worker, size } = makePair({ maxPayloadBytes: 32 * MIB, maxMessageBytes: 32 * MIB })
    await worker.start()
    expect(await size('x'.repeat(20 * MIB))).toBe(20 * MIB)
  })
})
