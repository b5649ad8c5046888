import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import { freePorts } from '../../scripts/brokers/processes.ts'
import { eventually } from '../support/eventually.ts'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { goesOn, jobs, startLoad } from '../support/load.ts'
import { hearStates } from '../support/states.ts'
import { SHORT_SESSIONS, small } from './targets.ts'

const { hasPackage } = inject('kafka')

/** A server of its own, as it is stopped and killed here. */
describe.skipIf(!hasPackage)('Kafka goes away under load, and nothing is lost', { timeout: 120_000 }, () => {
  let server: OwnKafka
  beforeAll(async () => void (server = await startKafka({ config: SHORT_SESSIONS })), 90_000)
  afterAll(() => server.end(), 60_000)

  test('it is stopped and started: that is said, once each', async () => {
    const load = await startLoad(() => small(server.url))
    const states = await hearStates(small(server.url))
    await server.stop()
    expect(load.answered).toBeGreaterThan(0)
    await server.start()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    await eventually(() => states.at(-1) === 'up', { what: 'it says that it is up again' })
    expect(states.filter((state, at) => state !== states[at - 1])).toEqual(['down', 'up'])
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('it is killed, twice', async () => {
    const load = await startLoad(() => small(server.url))
    for (let kill = 0; kill < 2; kill++) {
      await server.kill()
      await server.start()
      await goesOn(load)
    }
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe.skipIf(!hasPackage)('Kafka is away when somebody comes', () => {
  test('a call waits until its own deadline, and has not run', async () => {
    const [port] = await freePorts(1)
    const client = createClient(small(`kafka://127.0.0.1:${port}`), {
      namespace: `a${randomBytes(5).toString('hex')}`,
      log: () => {},
      connectTimeoutMs: 500,
    })
    onTestFinished(() => client.close({ graceMs: 0 }))
    const startedAt = performance.now()
    const { work, note } = client.service(jobs)
    const tries = [work({ key: 'a' }, { timeoutMs: 1_500 }), note.send({ key: 'a' }, { timeoutMs: 1_500 })]
    const ends = await Promise.all(tries.map((one) => one.catch((error: unknown) => error)))
    for (const end of ends) expect(end).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_400)
    await expect(client.ready({ timeoutMs: 500 })).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  })
})
