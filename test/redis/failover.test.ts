import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import { redis } from '../../broker-adapters/redis/index.ts'
import { errorOf } from '../conformance/probe.ts'
import { eventually } from '../support/eventually.ts'
import { goesOn, startLoad } from '../support/load.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')

async function startPair(): Promise<{ readonly primary: OwnRedis; readonly replica: OwnRedis }> {
  const primary = await startRedis()
  onTestFinished(() => primary.end())
  const replica = await startRedis({ replicaOf: primary })
  onTestFinished(() => replica.end())
  await eventually(async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'))
  return { primary, replica }
}

describe.skipIf(!hasPackage)('a replica', { timeout: 120_000 }, () => {
  test('is refused at once: it takes no writes', async () => {
    const { replica } = await startPair()
    const began = performance.now()
    const error = await errorOf(connect(replica.url, { connectTimeoutMs: 30_000 }))
    expect(error).toMatchObject({
      code: 'BROKER_REFUSED',
      message: expect.stringMatching(/replica|read-only/i) as unknown,
    })
    expect(performance.now() - began).toBeLessThan(8_000)
  })

  test('is passed over where its primary is named too', async () => {
    const { primary, replica } = await startPair()
    const load = await startLoad(() => redis({ url: [replica.url, primary.url] }))
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('takes over by FAILOVER, and the old primary stays as its replica: all go there', async () => {
    const { primary, replica } = await startPair()
    const load = await startLoad(() => redis({ url: [primary.url, replica.url] }))
    await primary.cli('FAILOVER', 'TO', '127.0.0.1', String(replica.port))
    await eventually(async () => (await primary.cli('ROLE')).startsWith('slave'), { within: 20_000 })
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('is promoted when its primary is stopped for good: all go there, and nothing is lost', async () => {
    const { primary, replica } = await startPair()
    const load = await startLoad(() => redis({ url: [primary.url, replica.url] }))
    await primary.stop() // which waits until its replica has everything
    await replica.cli('REPLICAOF', 'NO', 'ONE')
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })
})
