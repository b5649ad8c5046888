import { describe, expect, inject, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import { redis } from '../../broker-adapters/redis/index.ts'
import { errorOf } from '../conformance/probe.ts'
import { goesOn, startLoad } from '../support/load.ts'
import { proxyOf } from '../support/tcp-proxy.ts'

const { url = 'redis://127.0.0.1:1', whyNot } = inject('redis')

describe.skipIf(whyNot !== undefined)('a network that lies', { timeout: 90_000 }, () => {
  test('connections that carry nothing any more are found, and nothing is lost', async () => {
    const { proxy, url: target } = await proxyOf(url)
    const load = await startLoad(() => redis({ url: target, dialTimeoutMs: 1_000 }))
    proxy.freeze()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
  })

  test('a server that takes connections and says nothing is given up in its time', async () => {
    const { proxy, url: target } = await proxyOf(url)
    proxy.swallow()
    const began = performance.now()
    const error = await errorOf(connect(redis({ url: target, dialTimeoutMs: 300 }), { connectTimeoutMs: 1_500 }))
    expect(error).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  test('of several servers one that takes connections and says nothing is passed over', async () => {
    const { proxy, url: silent } = await proxyOf(url)
    proxy.swallow()
    const broker = await connect(redis({ url: [silent, url], dialTimeoutMs: 300 }), { connectTimeoutMs: 10_000 })
    expect(broker.state).toBe('up')
    await broker.close()
  })

  test('of several servers the first one that answers is taken', async () => {
    const broker = await connect(redis({ url: ['redis://127.0.0.1:1', url] }))
    expect(broker.state).toBe('up')
    await broker.close()
  })
})
