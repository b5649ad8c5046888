import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'vitest'
import type {
  BrokerAdapter,
  Capabilities,
  Delivery,
  PublishOutcome,
  QueueStats,
  Subscription,
} from '../../../broker-adapters/adapter.ts'
import type { Message, QueueRef } from '../../../protocol/message.ts'
import { eventually } from '../../support/eventually.ts'

/** One consumer of a queue that keeps what it gets, unsettled. */
export interface Collected {
  /** In the order in which they came. */
  readonly deliveries: readonly Delivery[]
  readonly ids: readonly string[]
  readonly subscription: Subscription
  /** The delivery that comes as number `index`, from 0. */
  at(index: number): Promise<Delivery>
  /** So many at least. */
  came(count: number): Promise<readonly Delivery[]>
}

export async function collectDeliveries(
  adapter: BrokerAdapter,
  queue: QueueRef,
  {
    prefetch = 100,
    onDelivery,
  }: { readonly prefetch?: number; readonly onDelivery?: (delivery: Delivery) => void } = {},
): Promise<Collected> {
  const deliveries: Delivery[] = []
  const subscription = await adapter.consume(queue, { prefetch }, (delivery) => {
    deliveries.push(delivery)
    onDelivery?.(delivery)
  })
  const came = (count: number): Promise<readonly Delivery[]> =>
    eventually(() => deliveries.length >= count && deliveries, {
      what: `${count} deliveries; ${deliveries.length} came`,
    })
  return {
    deliveries,
    get ids() {
      return deliveries.map(({ message }) => message.id)
    },
    subscription,
    came,
    async at(index) {
      const all = await came(index + 1)
      const delivery = all[index]
      if (delivery === undefined) throw new Error('counted before')
      return delivery
    },
  }
}

/** Publishes to a queue that exists, all stored. */
export async function publishAll(
  adapter: BrokerAdapter,
  queue: QueueRef,
  messages: readonly Message[],
): Promise<readonly PublishOutcome[]> {
  await adapter.declare(queue)
  const outcomes = await adapter.publish(queue, messages)
  const bad = outcomes.find(({ status }) => status !== 'stored')
  if (bad !== undefined) throw new Error(`not stored: ${bad.status} ${bad.reason ?? ''}`)
  return outcomes
}

/** In the order in which they were published, where a queue is one and not parts. */
export function expectIds(
  { isPartitioned }: Capabilities,
  came: readonly string[],
  published: readonly string[],
): void {
  if (isPartitioned) expect(came.toSorted()).toEqual(published.toSorted())
  else expect(came).toEqual(published)
}

export const idsOf = (messages: readonly Message[]): string[] => messages.map(({ id }) => id)

/** So many wait: what another connection gave back has arrived. */
export async function areReady(adapter: BrokerAdapter, queue: QueueRef, count: number): Promise<void> {
  await adapter.declare(queue)
  await eventually(async () => (await adapter.stats(queue)).ready === count, { what: `${count} messages that wait` })
}

/** What a broker cannot tell is not compared. */
export function expectStats(
  stats: Pick<QueueStats, 'active' | 'delayed'>,
  expected: Readonly<Partial<QueueStats>>,
): void {
  const known = Object.entries(expected).filter(([name]) =>
    name === 'active' || name === 'delayed' ? stats[name] !== undefined : true,
  )
  expect(stats).toMatchObject(Object.fromEntries(known))
}

/**
 * Nothing is held, nothing waits: whatever was settled is settled at the broker too. Seen twice, as a broker may look for what
 * waits and for what is held one after the other, and a message may be given back between the two.
 */
export async function isEmpty(adapter: BrokerAdapter, queue: QueueRef): Promise<void> {
  let seen = 0
  await eventually(
    async () => {
      const { ready, delayed = 0, active } = await adapter.stats(queue)
      await nextTurn()
      seen = ready + delayed === 0 && active === 0 ? seen + 1 : 0
      return seen === 2
    },
    { what: 'an empty queue' },
  )
}
