import { connect } from 'amqplib'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { workQueue } from '../../broker-adapters/rabbitmq/topology.ts'
import { eventually } from '../support/eventually.ts'
import { goesOn, jobs, startLoad } from '../support/load.ts'
import { startRabbitmq, type OwnRabbitmq } from '../support/rabbitmq.ts'
import { hearStates } from '../support/states.ts'

const { hasPackage } = inject('rabbitmq')

/** A server of its own, as it is stopped, killed and starved here. */
describe.skipIf(!hasPackage)('RabbitMQ goes away under load, and nothing is lost', { timeout: 120_000 }, () => {
  let server: OwnRabbitmq
  beforeAll(async () => void (server = await startRabbitmq()), 60_000)
  afterAll(() => server.end(), 60_000)

  test('it is stopped and started', async () => {
    const load = await startLoad(() => server.url)
    await server.stop()
    expect(load.answered).toBeGreaterThan(0)
    await server.start()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('it is killed', async () => {
    const load = await startLoad(() => server.url)
    await server.kill()
    await server.start()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('an operator closes all connections', async () => {
    const load = await startLoad(() => server.url)
    await server.ctl('close_all_connections', 'maintenance')
    await goesOn(load)
    await server.ctl('close_all_connections', 'again')
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('its memory alarm blocks whoever publishes; cleared, all goes on', async () => {
    const load = await startLoad(() => server.url)
    const states = await hearStates(server.url)
    await server.ctl('set_vm_memory_high_watermark', 'absolute', '1')
    await eventually(() => states.includes('blocked'), { within: 20_000, what: 'it says that it is blocked' })
    await server.ctl('set_vm_memory_high_watermark', '0.6')
    await eventually(() => states.at(-1) === 'up', { within: 20_000, what: 'it says that it is not any more' })
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('the queue is deleted under its consumers: they make it again', async () => {
    const load = await startLoad(() => server.url)
    const model = await connect(server.url)
    const channel = await model.createChannel()
    const { group, service, major } = { group: 'default', service: jobs.name, major: 'v1' }
    const features = { keyed: false, priority: false, frames: false }
    await channel.deleteQueue(workQueue(load.namespace, { group, service, major, features }).name)
    await model.close()
    // What is published in this moment may go with the queue. The server does not always tell its consumers; then they find out by
    // themselves that they get nothing.
    const stub = load.client.service(jobs)
    const tryOne = async (): Promise<boolean> => {
      const answer = await stub.work({ key: 'after' }, { timeoutMs: 5_000 }).catch(() => undefined)
      return answer === 'after'
    }
    await eventually(tryOne, { within: 45_000, what: 'a call is answered' })
    const consume = (): boolean => load.workers.every((worker) => worker.health().state === 'consuming')
    expect(await eventually(consume, { within: 30_000, what: 'both workers consume' })).toBe(true)
  })
})
