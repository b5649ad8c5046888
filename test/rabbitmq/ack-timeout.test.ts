import { expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { startRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')

const long = defineService('long', {
  methods: { work: method({ input: type<number>(), output: type<number>(), timeoutMs: 60_000 }) },
})

test.skipIf(!hasPackage)(
  'a handler that runs longer than the server waits for its ack: its caller has the answer, its neighbours theirs',
  async () => {
    // Looked at every second; at a server as it comes every minute, and the time is half an hour.
    const server = await startRabbitmq({
      config: 'consumer_timeout = 2000',
      advancedConfig: '[{rabbit, [{channel_tick_interval, 1000}]}].\n',
    })
    onTestFinished(() => server.end())
    const lines: LogLine[] = []
    const log = (line: LogLine): void => void lines.push(line)
    const client = createClient(server.url, { log })
    const ran: number[] = []
    const aborted: number[] = []
    const worker = createWorker(server.url, { log, concurrency: 4 }).serve(long, {
      async work(ms, { signal }) {
        ran.push(ms)
        signal.addEventListener('abort', () => aborted.push(ms))
        await new Promise((resolve) => setTimeout(resolve, ms))
        return ms
      },
    })
    onTestFinished(async () => {
      await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
    })
    await worker.start()
    const stub = client.service(long)
    let isOver = false
    const slow = stub.work(8_000).finally(() => (isOver = true))
    const quick: Promise<number>[] = []
    while (!isOver) {
      quick.push(stub.work(quick.length % 7))
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    expect(await slow).toBe(8_000)
    expect(await Promise.all(quick)).toEqual(quick.map((_, index) => index % 7))
    expect(ran.filter((ms) => ms === 8_000)).toHaveLength(1) // what comes again waits for the run that goes on
    expect(aborted).toContain(8_000)
    expect(lines.map(({ code, message }) => `${code} ${message}`)).toContainEqual(
      expect.stringMatching(/^RABBITMQ_RESTORED .*acknowledgement .*timed out/),
    )
    expect((await client.queue(long).stats()).dead).toBe(0)
  },
  120_000,
)
