import { expect, inject, onTestFinished, test } from 'vitest'
import { redis } from '../../broker-adapters/redis/index.ts'
import type { BrokerAdapter } from '../../broker-adapters/adapter.ts'
import { HEADER } from '../../protocol/headers.ts'
import { queueRef, requestOf } from '../conformance/case-context.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')

/** More than one piece of what a purge takes at once. */
const MANY = 1_200

async function open(): Promise<{ readonly server: OwnRedis; readonly adapter: BrokerAdapter }> {
  const server = await startRedis()
  onTestFinished(() => server.end())
  const adapter = redis({ url: server.url }).create()
  onTestFinished(() => adapter.stop())
  const context = { namespace: 'purge', processId: 'p1', maxPayloadBytes: 1_000_000, now: Date.now }
  await adapter.start({ ...context, log: () => {}, onState: () => {} })
  return { server, adapter }
}

const features = { keyed: false, priority: false, frames: false }

/** Each looks at a list from its end until it finds what it is to remove. */
async function searches(server: OwnRedis): Promise<string | undefined> {
  return /^cmdstat_lrem:.*$/m.exec(await server.cli('INFO', 'commandstats'))?.[0]
}

test.skipIf(!hasPackage).each([
  ['without keys', features, () => ({})],
  ['with priority', { ...features, priority: true }, () => ({})],
  ['with keys', { ...features, keyed: true }, (index: number) => ({ [HEADER.key]: `k${index % 3}` })],
])('a purge of what is ready, %s, takes it all and searches no list', async (_, given, headersOf) => {
  const { server, adapter } = await open()
  const queue = queueRef({ features: given })
  await adapter.declare(queue)
  await adapter.publish(
    queue,
    Array.from({ length: MANY }, (__, index) => requestOf({ headers: headersOf(index) })),
  )
  await server.cli('CONFIG', 'RESETSTAT')
  expect(await adapter.purge(queue, 'ready')).toBe(MANY)
  expect(await searches(server)).toBeUndefined()
  expect(await adapter.stats(queue)).toMatchObject({ ready: 0, active: 0, delayed: 0, dead: 0 })
  // Nothing of it is left but what the queue itself needs, and a key is free again.
  expect(await server.cli('KEYS', '*rt:[tbl]*')).toBe('')
})

test.skipIf(!hasPackage)('what waits behind a key that is out is purged, and the key goes on after it', async () => {
  const { server, adapter } = await open()
  const queue = queueRef({ features: { ...features, keyed: true } })
  const ofKey = (): ReturnType<typeof requestOf> => requestOf({ headers: { [HEADER.key]: 'k' } })
  await adapter.declare(queue)
  const ids: string[] = []
  const acks: (() => void)[] = []
  await adapter.consume(queue, { prefetch: 10 }, (delivery) => {
    ids.push(delivery.message.id)
    acks.push(() => delivery.ack())
  })
  const first = ofKey()
  await adapter.publish(queue, [first, ...Array.from({ length: MANY }, ofKey)])
  await expect.poll(() => ids).toEqual([first.id])
  await server.cli('CONFIG', 'RESETSTAT')
  expect(await adapter.purge(queue, 'ready')).toBe(MANY)
  expect(await searches(server)).toBeUndefined()
  const last = ofKey()
  await adapter.publish(queue, [last])
  expect(await adapter.stats(queue)).toMatchObject({ ready: 1, active: 1 })
  acks[0]?.()
  await expect.poll(() => ids).toEqual([first.id, last.id])
})

test.skipIf(!hasPackage)(
  'dead letters and what is delayed are purged beside a long queue without searching it',
  async () => {
    const { server, adapter } = await open()
    const queue = queueRef()
    await adapter.declare(queue)
    const messages = Array.from({ length: MANY }, () => requestOf())
    await adapter.publish(queue, messages)
    await adapter.publish(
      queue,
      Array.from({ length: MANY }, () => requestOf({ delayMs: 600_000 })),
    )
    const why = { code: 'HANDLER_FAILED', reason: 'no', attempts: 1 }
    await Promise.all(Array.from({ length: MANY }, () => adapter.park(queue, requestOf(), why)))
    expect(await adapter.stats(queue)).toMatchObject({ ready: MANY, delayed: MANY, dead: MANY })
    await server.cli('CONFIG', 'RESETSTAT')
    expect(await adapter.purge(queue, 'dead')).toBe(MANY)
    expect(await adapter.purge(queue, 'delayed')).toBe(MANY)
    expect(await searches(server)).toBeUndefined()
    expect(await adapter.stats(queue)).toMatchObject({ ready: MANY, delayed: 0, dead: 0 })
  },
)
