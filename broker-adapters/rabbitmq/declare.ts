import type { AdapterContext } from '../adapter.ts'
import { declareQueue, withChannel } from './channels.ts'
import type { Session } from './dial.ts'
import {
  controlExchange,
  deadExchange,
  deadShape,
  deathExchange,
  delayExchange,
  delayShape,
  diedIn,
  diedOf,
  expiredShape,
  linesOf,
  pauseShapes,
  workShapes,
  type WorkQueue,
} from './topology.ts'

type Log = AdapterContext['log']

/** What every queue of a namespace shares: once a session. */
export async function declareNamespace(session: Session, namespace: string, log: Log): Promise<void> {
  const expired = expiredShape(namespace)
  await declareQueue(session, expired, log)
  await withChannel(session, async (channel) => {
    const [death, dead] = [deathExchange(namespace), deadExchange(namespace)]
    await channel.assertExchange(controlExchange(namespace), 'direct', { durable: true })
    await channel.assertExchange(death, 'headers', { durable: true })
    await channel.assertExchange(dead, 'direct', { durable: true })
    await channel.bindQueue(expired.name, death, '', diedOf('expired'))
    for (const reason of ['delivery_limit', 'rejected', 'maxlen'] as const)
      await channel.bindExchange(dead, death, '', diedOf(reason))
  })
}

export async function declareWork(session: Session, namespace: string, queue: WorkQueue, log: Log): Promise<void> {
  const dead = deadShape(queue)
  const shapes = [dead, ...pauseShapes(queue), ...workShapes(namespace, queue)]
  await Promise.all(shapes.map((shape) => declareQueue(session, shape, log)))
  await withChannel(session, async (channel) => {
    for (const lane of linesOf(queue)) await channel.bindQueue(dead.name, deadExchange(namespace), lane)
  })
}

/** One rung of the ladder. */
export async function declareDelay(session: Session, namespace: string, bucketMs: number, log: Log): Promise<void> {
  const shape = delayShape(namespace, bucketMs)
  await declareQueue(session, shape, log)
  await withChannel(session, async (channel) => {
    const exchange = delayExchange(namespace, bucketMs)
    await channel.assertExchange(exchange, 'fanout', { durable: true })
    await channel.bindQueue(shape.name, exchange, '')
    await channel.bindExchange(deadExchange(namespace), deathExchange(namespace), '', diedIn(shape.name))
  })
}
