import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { goesOn, jobs, startLoad } from '../support/load.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'
import { hearStates } from '../support/states.ts'

const { hasPackage } = inject('redis')

/** A server of its own, as it is stopped, killed and starved here. */
describe.skipIf(!hasPackage)('Redis goes away under load, and nothing is lost', { timeout: 120_000 }, () => {
  let server: OwnRedis
  beforeAll(async () => void (server = await startRedis()), 60_000)
  afterAll(() => server.end(), 60_000)

  test('it is stopped and started', async () => {
    const load = await startLoad(() => server.url)
    await server.stop()
    expect(load.answered).toBeGreaterThan(0)
    await server.start()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('it is killed, twice', async () => {
    const load = await startLoad(() => server.url)
    for (let kill = 0; kill < 2; kill++) {
      await server.kill()
      await server.start()
      await goesOn(load)
    }
    expect(await load.settle()).toBe(0)
  })

  test('an operator closes all connections', async () => {
    const load = await startLoad(() => server.url)
    for (let round = 0; round < 3; round++) {
      await server.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await server.cli('CLIENT', 'KILL', 'TYPE', 'normal')
      await goesOn(load)
    }
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('it takes no commands for a while', async () => {
    const load = await startLoad(() => server.url)
    await server.cli('CLIENT', 'PAUSE', '3000', 'ALL')
    await goesOn(load)
    await server.cli('CLIENT', 'PAUSE', '3000', 'WRITE')
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('it has no memory left: whoever publishes waits; it has some again, and all goes on', async () => {
    const load = await startLoad(() => server.url)
    const states = await hearStates(server.url)
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    await eventually(() => states.includes('blocked'), { within: 20_000, what: 'it says that it is blocked' })
    await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    await eventually(() => states.at(-1) === 'up', { within: 20_000, what: 'it says that it is not any more' })
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('it is emptied under clients and workers: what was stored is gone, and new calls are answered soon', async () => {
    const load = await startLoad(() => server.url)
    await server.cli('FLUSHALL')
    const { work } = load.client.service(jobs)
    const tryOne = async (): Promise<boolean> => {
      const answer = await work({ key: 'after' }, { timeoutMs: 2_000 }).catch(() => undefined)
      return answer === 'after'
    }
    await eventually(tryOne, { within: 30_000, what: 'a call is answered' })
    for (const worker of load.workers) expect(worker.health().state).toBe('consuming')
  })
})
