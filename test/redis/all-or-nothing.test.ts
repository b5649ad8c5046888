import { randomBytes } from 'node:crypto'
import { expect, inject, onTestFinished, test } from 'vitest'
import type { AdapterState, BrokerAdapter, Delivery } from '../../broker-adapters/adapter.ts'
import { redis } from '../../broker-adapters/redis/index.ts'
import { HEADER } from '../../protocol/headers.ts'
import type { Message, QueueRef } from '../../protocol/message.ts'
import { queueRef, requestOf } from '../conformance/case-context.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { startRedis, type OwnRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')
const why = { code: 'HANDLER_FAILED', reason: 'no', attempts: 1 }
const queue = queueRef({ features: { keyed: true, priority: false, frames: false } })
const ofKey = (): Message => requestOf({ headers: { [HEADER.key]: 'k' } })

interface Scene {
  readonly server: OwnRedis
  readonly adapter: BrokerAdapter
  readonly deliveries: readonly Delivery[]
  readonly states: readonly AdapterState[]
}

async function setScene(): Promise<Scene> {
  const server = await startRedis()
  onTestFinished(() => server.end())
  const adapter = redis({ url: server.url }).create()
  onTestFinished(() => adapter.stop())
  const namespace = `a${randomBytes(5).toString('hex')}`
  const states: AdapterState[] = []
  const context = { namespace, processId: 'p1', maxPayloadBytes: 1_000_000, now: Date.now }
  await adapter.start({ ...context, log: () => {}, onState: (state) => void states.push(state) })
  await adapter.declare(queue)
  const deliveries: Delivery[] = []
  await adapter.consume(queue, { prefetch: 10 }, (delivery) => void deliveries.push(delivery))
  return { server, adapter, deliveries, states }
}

async function came({ deliveries }: Scene, count: number): Promise<Delivery> {
  return eventually(() => deliveries[count - 1] ?? false, { what: `delivery ${count}` })
}
async function idsOfLetters(adapter: BrokerAdapter, ref: QueueRef = queue): Promise<readonly string[]> {
  return (await allOf(adapter.deadLetters(ref).list())).map(({ message }) => message.id)
}

test.skipIf(!hasPackage)('a letter whose replay finds no memory stays a letter', async () => {
  const { server, adapter } = await setScene()
  const message = requestOf()
  await adapter.park(queue, message, why)
  await server.cli('CONFIG', 'SET', 'maxmemory', '1')
  await adapter
    .deadLetters(queue)
    .replay({})
    .catch(() => 0)
  await server.cli('CONFIG', 'SET', 'maxmemory', '0')
  expect(await idsOfLetters(adapter)).toEqual([message.id])
  expect(await eventually(() => replayed(adapter))).toBe(1)
  expect(await idsOfLetters(adapter)).toEqual([])
})

test.skipIf(!hasPackage)('what is settled while there is no memory is settled, and its key goes on', async () => {
  const scene = await setScene()
  const { server, adapter, deliveries, states } = scene
  const messages = [ofKey(), ofKey(), ofKey()]
  await adapter.publish(queue, messages)
  const first = await came(scene, 1)
  await server.cli('CONFIG', 'SET', 'maxmemory', '1')
  const [outcome] = await adapter.publish(queue, [ofKey()])
  expect(outcome?.status).toBe('notSent')
  expect(states).toContain('blocked')
  first.ack()
  await server.cli('CONFIG', 'SET', 'maxmemory', '0')
  const second = await came(scene, 2)
  await server.cli('CONFIG', 'SET', 'maxmemory', '1')
  const burying = second.deadLetter(why)
  await server.cli('CONFIG', 'SET', 'maxmemory', '0')
  await burying
  ;(await came(scene, 3)).ack()
  expect(deliveries.map(({ message }) => message.id)).toEqual(messages.map(({ id }) => id))
  expect(await idsOfLetters(adapter)).toEqual([second.message.id])
})

test.skipIf(!hasPackage)('a server that has forgotten its scripts loses no letter, and keys go on', async () => {
  const scene = await setScene()
  const { server, adapter, deliveries } = scene
  const plain = requestOf()
  // All scripts are known to be there.
  await adapter.publish(queue, [plain, ofKey(), ofKey()])
  await came(scene, 2)
  await deliveries.find(({ message }) => message.id === plain.id)?.deadLetter(why)
  deliveries.find(({ message }) => message.id !== plain.id)?.ack()
  const next = await came(scene, 3)
  const more = [requestOf(), requestOf()]
  await adapter.publish(queue, more)
  const [doomed, done] = [await came(scene, 4), await came(scene, 5)]
  await server.cli('SCRIPT', 'FLUSH', 'SYNC')
  done.ack() // brings back the script of an end, and no other
  await eventually(async () => (await server.cli('LLEN', await activeKey(server))) === '2')
  await doomed.deadLetter(why)
  next.ack()
  const last = ofKey()
  await eventually(async () => (await adapter.publish(queue, [last]))[0]?.status === 'stored')
  expect((await came(scene, 6)).message.id).toBe(last.id)
  expect((await idsOfLetters(adapter)).toSorted()).toEqual([plain.id, doomed.message.id].toSorted())
})

/** Undefined: it could not. */
function replayed(adapter: BrokerAdapter): Promise<number | undefined> {
  return adapter
    .deadLetters(queue)
    .replay({})
    .catch(() => undefined)
}

async function activeKey(server: OwnRedis): Promise<string> {
  return server.cli('KEYS', '*:active')
}
