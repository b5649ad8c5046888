import { expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { startRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')

const LIMIT = 100_000
const sizes = defineService('sizes', {
  methods: {
    sizeOf: method({ input: type<string>(), output: type<number>() }),
    make: method({ input: type<number>(), output: type<string>() }),
  },
})

test.skipIf(!hasPackage)(
  'a server that takes less than we: the message that is too large fails, its neighbours are answered',
  async () => {
    const server = await startRabbitmq({ config: `max_message_size = ${LIMIT}` })
    onTestFinished(() => server.end())
    const client = createClient(server.url, { log: () => {} })
    const worker = createWorker(server.url, { log: () => {} }).serve(sizes, {
      sizeOf: (text) => text.length,
      make: (length) => 'x'.repeat(length),
    })
    onTestFinished(async () => {
      await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
    })
    await worker.start()
    const stub = client.service(sizes)
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
  },
  120_000,
)
