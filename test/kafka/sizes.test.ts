import { randomBytes } from 'node:crypto'
import { ConfigResourceTypes } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { adminOf } from '../support/kafka.ts'
import { small } from './targets.ts'

const { url = '', whyNot } = inject('kafka')

const LIMIT = 50_000
const sizes = defineService('sizes', {
  methods: {
    sizeOf: method({ input: type<string>(), output: type<number>() }),
    make: method({ input: type<number>(), output: type<string>() }),
  },
})

async function setScene(options: { readonly maxMessageBytes?: number; readonly maxPayloadBytes?: number } = {}) {
  const { maxMessageBytes, maxPayloadBytes } = options
  // All in one partition, so that neighbours share batches.
  const target = small(url, { partitions: 1, replyPartitions: 1, sessionMs: 6_000, maxMessageBytes })
  const namespace = `z${randomBytes(5).toString('hex')}`
  const client = createClient(target, { namespace, maxPayloadBytes, log: () => {} })
  const worker = createWorker(target, { namespace, maxPayloadBytes, log: () => {} }).serve(sizes, {
    sizeOf: (text) => text.length,
    make: (length) => 'x'.repeat(length),
  })
  onTestFinished(async () => {
    await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
  })
  await worker.start()
  await client.ready()
  const stub = client.service(sizes)
  expect(await stub.sizeOf('abc')).toBe(3) // all topics are there now
  const limit = async (topic: string): Promise<void> => {
    const configEntries = [{ name: 'max.message.bytes', value: String(LIMIT) }]
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: `${namespace}.${topic}`, configEntries }]
    await adminOf(url, (admin) => admin.alterConfigs({ validateOnly: false, resources }))
  }
  return { stub, limit }
}

describe.skipIf(whyNot !== undefined)('messages that are too large', { timeout: 40_000 }, () => {
  test('a topic takes less than we: the one that is too large fails, its neighbours are answered', async () => {
    const { stub, limit } = await setScene()
    await Promise.all([limit('q.default.sizes.v1'), limit('reply')])
    const small = (count: number): Promise<number>[] =>
      Array.from({ length: count }, (_, index) => stub.sizeOf('x'.repeat(index)))
    const before = small(20)
    const large = stub.sizeOf('x'.repeat(LIMIT * 2)).catch((error: unknown) => error)
    const after = small(20)
    expect(await large).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'no' })
    expect(await Promise.all([...before, ...after])).toEqual([...before.keys(), ...after.keys()])

    const many = small(20)
    const answer = stub.make(LIMIT * 2).catch((error: unknown) => error)
    expect(await answer).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'yes' })
    expect(await Promise.all(many)).toEqual([...many.keys()])
    expect(await stub.make(10)).toBe('x'.repeat(10))
  })

  test('many that are not too large one by one, and are together, are all stored', async () => {
    const { stub, limit } = await setScene()
    await limit('q.default.sizes.v1')
    const lengths = Array.from({ length: 40 }, (_, index) => 20_000 + index)
    expect(await Promise.all(lengths.map((length) => stub.sizeOf('x'.repeat(length))))).toEqual(lengths)
  })

  test('as large as it may be by default it passes, and larger it is refused here', async () => {
    const { stub } = await setScene({ maxPayloadBytes: 4_000_000 })
    expect(await stub.sizeOf('x'.repeat(1_030_000))).toBe(1_030_000)
    await expect(stub.sizeOf('x'.repeat(1_100_000))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      executed: 'no',
    })
  })

  test('options that allow more than the server does are no way round it', async () => {
    const { stub } = await setScene({ maxPayloadBytes: 4_000_000, maxMessageBytes: 4_000_000 })
    await expect(stub.sizeOf('x'.repeat(2_000_000))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      executed: 'no',
    })
    expect(await stub.sizeOf('abc')).toBe(3)
  })
})
