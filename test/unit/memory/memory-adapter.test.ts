import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Delivery } from '../../../broker-adapters/adapter.ts'
import { connect } from '../../../broker-adapters/connect.ts'
import { createClient } from '../../../client/index.ts'
import { eventually } from '../../support/eventually.ts'
import { answer, consumeEcho, echo, freshBroker, inputOf } from '../client/raw-worker.ts'

test('two clients of one broker, and two brokers of one name, get their own answers', async () => {
  const url = `memory:${randomUUID()}`
  const [one, other] = [await connect(url), await connect(url)]
  const clients = [createClient(one), createClient(one), createClient(other)]
  await consumeEcho(other, (delivery) => {
    delivery.ack()
    void answer(other, delivery, { value: inputOf(delivery) })
  })
  expect(await Promise.all(clients.map((client, n) => client.service(echo).say(n)))).toEqual([0, 1, 2])
  await clients[0]?.close()
  expect(await clients[1]?.service(echo).say('still open')).toBe('still open')
  await one.close()
  expect(await clients[2]?.service(echo).say('the other broker')).toBe('the other broker')
  await other.close()
})

test('what was handed out and came back is removed, and not said to be new', async () => {
  const broker = await freshBroker()
  const adapter = await broker['~core'].adapter
  const client = createClient(broker)
  const held: Delivery[] = []
  await consumeEcho(broker, (delivery) => {
    held.push(delivery)
  })
  const { id } = await client.service(echo).note.send(1)
  await eventually(() => held.length === 1)
  const { service, major } = { service: 'echo', major: 'v1' }
  const queue = { group: 'default', service, major, features: { keyed: false, priority: false, frames: false } }
  expect(await adapter.remove?.(queue, id)).toBe(false) // it is held
  await held[0]?.retry({ delayMs: 60_000, headers: { 'rt-attempt': '2' } })
  expect(await adapter.remove?.(queue, id)).toBe(false) // it has run
  expect(await adapter.stats(queue)).toMatchObject({ ready: 0, delayed: 0, active: 0 })
  await broker.close()
})

test('await using closes a client and its broker', async () => {
  let broker
  {
    await using opened = await freshBroker()
    await using client = createClient(opened)
    broker = opened
    await client.service(echo).note.send(1)
  }
  expect(broker.state).toBe('closed')
})
