import { randomBytes } from 'node:crypto'
import { connect } from 'amqplib'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { workQueue } from '../../broker-adapters/rabbitmq/topology.ts'
import { createClient } from '../../client/create-client.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { eventually } from '../support/eventually.ts'
import { createLedger } from '../support/ledger.ts'
import { jobs } from '../support/load.ts'

const { url, whyNot } = inject('rabbitmq')

/** As they come back where connections break again and again. */
const SUSPECTS = 40
const ALL = 300

describe.skipIf(url === undefined)(`suspects${url === undefined ? ` [${whyNot}]` : ''}`, { timeout: 60_000 }, () => {
  const at = url ?? ''

  test('those that came back twice are run alone, one after the other, and draw nobody else in', async () => {
    const options = { namespace: `s${randomBytes(5).toString('hex')}`, log: () => {} }
    const client = createClient(at, options)
    const ledger = createLedger()
    const workers = [1, 2].map(() => createWorker(at, { ...options, concurrency: 8 }))
    onTestFinished(async () => void (await Promise.all([client, ...workers].map((one) => one.close({ graceMs: 0 })))))
    const keys = Array.from({ length: ALL }, (_, index) => `n${index}`)
    const { note } = client.service(jobs)
    await Promise.all(keys.map((key) => note.send({ key })))
    for (let times = 0; times < 2; times++) await bringBack(at, options.namespace)

    for (const worker of workers) {
      worker.serve(jobs, { work: ({ key }) => key, post: ({ key }) => key, note: ({ key }) => ledger.enter(key) })
      await worker.start()
    }
    await eventually(() => keys.every((key) => ledger.runs(key) > 0), { within: 45_000, what: 'all have run' })
    const isolated = workers.reduce((sum, { counters }) => sum + (counters.isolated ?? 0), 0)
    expect(isolated).toBeGreaterThanOrEqual(SUSPECTS)
    expect(isolated).toBeLessThan(2 * SUSPECTS)
  })
})

/** The first of the queue go to a stranger, which gives them back. */
async function bringBack(server: string, namespace: string): Promise<void> {
  const model = await connect(server, { noDelay: true })
  const channel = await model.createChannel()
  await channel.prefetch(SUSPECTS)
  const features = { keyed: true, priority: false, frames: false }
  const { name } = workQueue(namespace, { group: 'default', service: jobs.name, major: 'v1', features })
  let count = 0
  await new Promise<void>((resolve) => {
    void channel.consume(name, () => {
      if (++count === SUSPECTS) resolve()
    })
  })
  await model.close() // all at once, and no other one comes
}
