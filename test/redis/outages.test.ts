import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { createGate, eventually, eventuallyPasses } from '../support/eventually.ts'
import { createLedger } from '../support/ledger.ts'
import { goesOn, jobs, startLoad } from '../support/load.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'
import { hearStates } from '../support/states.ts'

const { hasPackage } = inject('redis')

const job = type<{ readonly key: string }>()
const failing = defineService('failing', {
  methods: {
    once: method({ input: job, oneWay: true, retry: { attempts: 1 } }),
    again: method({ input: job, oneWay: true, retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } }),
    inTurn: method({ input: job, oneWay: true, keyed: true }),
  },
})

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

  test.each(['it has no memory left', 'its scripts are forgotten'])(
    '%s while handlers fail: all letters are stored, retries run, keys go on',
    async (what) => {
      const options = { namespace: `m${randomBytes(5).toString('hex')}`, log: () => {} }
      const client = createClient(server.url, options)
      const worker = createWorker(server.url, { ...options, concurrency: 20 })
      onTestFinished(async () => {
        await Promise.all([client.close({ graceMs: 0 }), worker.close({ graceMs: 0 })])
      })
      const gate = createGate()
      const ledger = createLedger()
      const run = async (key: string): Promise<void> => {
        if (key === 'warm') return
        ledger.enter(key)
        await gate.opened
      }
      worker.serve(failing, {
        async once({ key }) {
          await run(key)
          throw new Error('no')
        },
        async again({ key }, { attempt }) {
          await run(key)
          if (attempt === 1) throw new Error('not yet')
        },
        inTurn: ({ key }) => run(key),
      })
      await worker.start()
      const stub = client.service(failing)
      const isWarm = !what.includes('memory') // else no script of these was used before
      if (isWarm) await Promise.all([stub.once.send({ key: 'warm' }), stub.inTurn.send({ key: 'warm' }, { key: 'w' })])
      const names = [1, 2, 3, 4, 5]
      for (const name of names) {
        await stub.once.send({ key: `once-${name}` })
        await stub.again.send({ key: `again-${name}` })
        await stub.inTurn.send({ key: `inTurn-${name}` }, { key: 'k' })
      }
      await eventually(() => ledger.total === 2 * names.length + 1, { what: 'all run that may' })
      if (what.includes('memory')) await server.cli('CONFIG', 'SET', 'maxmemory', '1')
      else await server.cli('SCRIPT', 'FLUSH', 'SYNC')
      gate.open()
      if (what.includes('memory')) {
        const wasRefused = async (): Promise<boolean> =>
          (await server.cli('INFO', 'errorstats')).includes('errorstat_OOM')
        await eventually(wasRefused, { within: 20_000, what: 'something is refused' })
        await server.cli('CONFIG', 'SET', 'maxmemory', '0')
      }
      await eventuallyPasses(
        async () => {
          const { ready, active, delayed, dead } = await client.queue(failing).stats()
          expect({ ready, active, delayed, dead }).toEqual({
            ready: 0,
            active: 0,
            delayed: 0,
            dead: names.length + Number(isWarm),
          })
        },
        { within: 30_000 },
      )
      expect(ledger.entries.filter((key) => key.startsWith('inTurn'))).toEqual(names.map((name) => `inTurn-${name}`))
      for (const name of names) expect([ledger.runs(`once-${name}`), ledger.runs(`again-${name}`)]).toEqual([1, 2])
    },
  )

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
