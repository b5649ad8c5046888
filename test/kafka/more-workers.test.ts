import { randomBytes } from 'node:crypto'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import type { Worker } from '../../worker/types.ts'
import { eventually } from '../support/eventually.ts'
import { small } from './targets.ts'

const { url = '', whyNot } = inject('kafka')
const echo = defineService('echo', { methods: { who: method({ input: type<number>(), output: type<string>() }) } })

describe.skipIf(whyNot !== undefined)('more workers than partitions', { timeout: 40_000 }, () => {
  test('one has nothing to do, which is said; it takes over what another one leaves', async () => {
    const target = small(url, { partitions: 2, sessionMs: 6_000 })
    const namespace = `m${randomBytes(5).toString('hex')}`
    const lines: LogLine[] = []
    const log = (line: LogLine): void => void lines.push(line)
    const client = createClient(target, { namespace, log })
    const workers: Worker[] = []
    onTestFinished(async () => {
      await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))
    })
    for (const name of ['a', 'b', 'c']) {
      const worker = createWorker(target, { namespace, name, log }).serve(echo, { who: () => name })
      workers.push(await worker.start())
    }
    const { who } = client.service(echo)
    const askAll = async (): Promise<ReadonlySet<string>> =>
      new Set(await Promise.all(Array.from({ length: 40 }, (_, n) => who(n))))
    const first = await askAll()
    expect(first.size).toBe(2)
    expect(await client.queue(echo).stats()).toMatchObject({ consumers: 3 })
    for (const worker of workers) expect(worker.health().state).toBe('consuming')
    await eventually(() => lines.some(({ code }) => code === 'KAFKA_PARTITIONS'), { what: 'it is said' })
    const said = lines.filter(({ code }) => code === 'KAFKA_PARTITIONS')
    expect(said).toMatchObject([{ level: 'warn', message: expect.stringMatching(/3 .*2 partitions/) as unknown }])

    const at = ['a', 'b', 'c'].findIndex((name) => first.has(name))
    await workers[at]?.close()
    await eventually(async () => (await askAll()).size === 2, { what: 'the other two share them' })
  })
})
