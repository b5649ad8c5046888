import { describe, expect, inject, test } from 'vitest'
import { connect } from '../../broker-adapters/connect.ts'
import { errorOf } from '../conformance/probe.ts'
import { goesOn, startLoad } from '../support/load.ts'
import { proxyAhead, proxyOf, type TcpProxy } from '../support/tcp-proxy.ts'
import { ownServer, small } from './targets.ts'

const { url = 'kafka://127.0.0.1:1', whyNot, hasPackage } = inject('kafka')

/** A server whose clients come by the proxy: they follow the addresses that it tells them. */
async function behindProxy(): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
  const { proxy, leadTo } = await proxyAhead()
  // It is alone, so nobody follows the inner one.
  const server = await ownServer({
    config: `advertised.listeners=CLIENT://127.0.0.1:${proxy.port},INNER://127.0.0.1:1\n`,
  })
  leadTo(server.port)
  return { proxy, url: `kafka://127.0.0.1:${proxy.port}` }
}

describe.skipIf(!hasPackage)('a network that lies', { timeout: 90_000 }, () => {
  test('connections that carry nothing any more are found, and nothing is lost', async () => {
    const { proxy, url: target } = await behindProxy()
    const load = await startLoad(() => small(target, { dialTimeoutMs: 1_000, requestTimeoutMs: 2_000 }))
    for (let freeze = 0; freeze < 2; freeze++) {
      proxy.freeze()
      await goesOn(load)
    }
    expect(await load.settle()).toBe(0)
  })
})

describe.skipIf(whyNot !== undefined)('servers that say nothing', () => {
  test('one that takes connections is given up in its time', async () => {
    const { proxy, url: target } = await proxyOf(url)
    proxy.swallow()
    const began = performance.now()
    const error = await errorOf(connect(small(target, { dialTimeoutMs: 300 }), { connectTimeoutMs: 1_500 }))
    expect(error).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  test('of several one that takes connections is passed over', async () => {
    const { proxy, url: silent } = await proxyOf(url)
    proxy.swallow()
    const target = small(`${silent},${url.replace('kafka://', '')}`, { dialTimeoutMs: 300 })
    const broker = await connect(target, { connectTimeoutMs: 10_000 })
    expect(broker.state).toBe('up')
    await broker.close()
  })

  test('of several the first one that answers is taken', async () => {
    const broker = await connect(small(`kafka://127.0.0.1:1,${url.replace('kafka://', '')}`))
    expect(broker.state).toBe('up')
    await broker.close()
  })
})
