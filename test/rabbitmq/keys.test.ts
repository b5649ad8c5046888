import { describe, expect, inject, test, vi } from 'vitest'
import type { Delivery } from '../../broker-adapters/adapter.ts'
import { encodeNote, type RetryEntry } from '../../broker-adapters/rabbitmq/partition-notes.ts'
import { stateOf } from '../../broker-adapters/rabbitmq/topology.ts'
import { HEADER } from '../../protocol/headers.ts'
import type { Message } from '../../protocol/message.ts'
import { requestOf } from '../conformance/case-context.ts'
import { collectDeliveries, publishAll } from '../conformance/seam/collect-deliveries.ts'
import { eventually } from '../support/eventually.ts'
import { KEYED } from './keyed.ts'
import { setStage, type Stage } from './stage.ts'

vi.setConfig({ testTimeout: 60_000 })

const ofKey = (key: string, more: Partial<Message> = {}): Message =>
  requestOf({ ...more, headers: { [HEADER.key]: key } })

/** Keys of one partition, so that one process owns them all. */
function neighbours(stage: Stage, count: number): readonly [string, string, ...string[]] {
  const [first = '', second = '', ...others] = Array.from({ length: 500 }, (_, n) => `key-${n}`)
    .filter((key) => stage.partitionOf(key) === stage.partitionOf('key-0'))
    .slice(0, count)
  return [first, second, ...others]
}

const { url, whyNot } = inject('rabbitmq')

describe.skipIf(url === undefined)(`keys${url === undefined ? ` [${whyNot}]` : ''}`, () => {
  test('the owner is killed while a message waits for its retry: attempt, due time and turn survive', async () => {
    const stage = await setStage()
    const [a, b] = neighbours(stage, 2)
    const [a1, a2, b1] = [ofKey(a), ofKey(a), ofKey(b)]
    await publishAll(await stage.adapter(), KEYED, [a1, a2, b1])
    const one = await stage.owner()
    const first = await one.at(0)
    await one.at(1)
    const retriedAt = Date.now()
    await one.tell(`retry ${a1.id} 4000 2`)
    const other = await stage.owner()
    await one.kill()
    expect(await other.at(0)).toMatchObject({ id: b1.id, redelivered: true, handBacks: 1 })
    const again = await other.at(1)
    // It is a new attempt, which nobody had yet.
    expect(again).toMatchObject({ id: a1.id, attempt: '2', redelivered: false, handBacks: 0 })
    expect(again.at).toBeGreaterThanOrEqual(retriedAt + 4_000)
    expect(again.fence).toBeGreaterThan(first.fence ?? Infinity)
    expect(other.hands).toHaveLength(2)
    await other.tell(`ack ${a1.id}`)
    const next = await other.at(2)
    expect([next.id, next.attempt]).toEqual([a2.id, undefined])
    await other.tell(`ack ${a2.id}`)
    await other.tell(`ack ${b1.id}`)
    await other.tell('stop')
    await eventually(async () => (await stage.notesOf(a)) === 1, { what: 'only the number of the last owner' })
  })

  test('what is killed in its second attempt comes back in it; what only waited there was not handed out', async () => {
    const stage = await setStage()
    const [a, b] = neighbours(stage, 2)
    const [a1, b1] = [ofKey(a), ofKey(b)]
    await publishAll(await stage.adapter(), KEYED, [a1, b1])
    const one = await stage.owner(2)
    await one.at(1)
    await one.tell(`retry ${b1.id} 2000 2`)
    await one.tell(`retry ${a1.id} 0 2`)
    expect(await one.at(2)).toMatchObject({ id: a1.id, attempt: '2', redelivered: false, handBacks: 0 })
    await one.kill()
    const other = await stage.owner()
    expect(await other.at(0)).toMatchObject({ id: a1.id, attempt: '2', redelivered: true, handBacks: 1 })
    expect(await other.at(1)).toMatchObject({ id: b1.id, attempt: '2', redelivered: false, handBacks: 0 })
    await other.kill()
    const last = await stage.owner()
    expect(await last.at(0)).toMatchObject({ handBacks: 2 })
  })

  test('who pauses keeps its keys until it has settled what it has; then another one goes on', async () => {
    const stage = await setStage()
    const [a, b] = neighbours(stage, 2)
    const [a1, a2, b1, b2] = [ofKey(a), ofKey(a), ofKey(b), ofKey(b)]
    await publishAll(await stage.adapter(), KEYED, [a1, a2, b1, b2])
    const one = await stage.owner()
    await one.at(1)
    const other = await stage.owner()
    await one.tell('pause')
    await one.tell(`ack ${a1.id}`)
    // Still the owner: with a consumer that were gone, the server would have given all to the other one by now.
    await one.tell('resume')
    expect(await one.at(2)).toMatchObject({ id: a2.id })
    await one.tell('pause')
    await one.tell(`retry ${a2.id} 0 2`)
    expect(other.hands).toEqual([])
    await one.tell(`ack ${b1.id}`)
    await other.at(1)
    expect(new Map(other.hands.map(({ id, attempt }) => [id, attempt]))).toEqual(
      new Map([
        [a2.id, '2'],
        [b2.id, undefined],
      ]),
    )
    expect(one.hands).toHaveLength(3)
  })

  test('what is given back is first again, in a higher fence, and counted', async () => {
    const stage = await setStage()
    const [a1, a2] = [ofKey('a'), ofKey('a')]
    await publishAll(await stage.adapter(), KEYED, [a1, a2])
    const one = await stage.owner()
    const first = await one.at(0)
    await one.tell(`release ${a1.id}`)
    const second = await one.at(1)
    expect(second).toMatchObject({ id: a1.id, redelivered: true, handBacks: 1 })
    expect(second.fence).toBeGreaterThan(first.fence ?? Infinity)
  })

  test('partitions are shared by all consumers, also with those that come later', async () => {
    const stage = await setStage()
    const adapters = [await stage.adapter(), await stage.adapter(), await stage.adapter()]
    const [first, ...later] = adapters
    if (first === undefined) throw new Error('there are three')
    await first.declare(KEYED)
    const counts = adapters.map(() => 0)
    const consume = (adapter: (typeof adapters)[number], index: number): Promise<unknown> =>
      collectDeliveries(adapter, KEYED, {
        prefetch: 4,
        onDelivery(delivery) {
          counts[index] = (counts[index] ?? 0) + 1
          delivery.ack()
        },
      })
    const publish = (): Promise<unknown> =>
      publishAll(
        first,
        KEYED,
        Array.from({ length: 64 }, (_, n) => ofKey(`key-${n}`)),
      )
    await consume(first, 0)
    await publish()
    await eventually(() => counts[0] === 64)
    for (const [index, adapter] of later.entries()) await consume(adapter, index + 1)
    await eventually(
      async () => {
        counts.fill(0)
        await publish()
        await eventually(() => counts.reduce((sum, count) => sum + count, 0) === 64)
        return counts.every((count) => count > 0)
      },
      { within: 30_000, what: 'each has some' },
    )
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(64)
  })

  test('three consumers, of which one stops and one loses its connection: each key in order, one at a time', async () => {
    const stage = await setStage()
    const [one, other, third] = [await stage.adapter(), await stage.adapter(), await stage.adapter()]
    await one.declare(KEYED)
    const keys = Array.from({ length: 24 }, (_, n) => `key-${n}`)
    const messages = Array.from({ length: 12 }, () => keys.map((key) => ofKey(key))).flat()
    const out = new Map<string, Delivery>()
    const done = new Map<string, string[]>(keys.map((key) => [key, []]))
    const odd: string[] = []
    let count = 0
    const onDelivery = (delivery: Delivery): void => {
      const { id, headers } = delivery.message
      const key = headers[HEADER.key] ?? ''
      const before = out.get(key)
      if (before !== undefined && !before.isLost) odd.push(`${id} beside ${before.message.id}`)
      out.set(key, delivery)
      setImmediate(() => {
        if (delivery.isLost) return
        if (++count % 5 === 0 && headers[HEADER.attempt] === undefined) {
          out.delete(key)
          void delivery.retry({ delayMs: count % 2 === 0 ? 20 : 0, headers: { [HEADER.attempt]: '2' } })
          return
        }
        out.delete(key)
        done.get(key)?.push(id)
        delivery.ack()
      })
    }
    const subscriptions = await Promise.all(
      [one, other, third].map((adapter) => collectDeliveries(adapter, KEYED, { prefetch: 4, onDelivery })),
    )
    await publishAll(third, KEYED, messages.slice(0, 200))
    await eventually(() => count > 50)
    await subscriptions[0]?.subscription.stop()
    await publishAll(third, KEYED, messages.slice(200))
    await eventually(() => count > 150)
    await other.stop()
    const total = (): number => [...done.values()].reduce((sum, ids) => sum + new Set(ids).size, 0)
    await eventually(() => total() === messages.length, { within: 30_000, what: 'all are done' })
    expect(odd).toEqual([])
    for (const key of keys) {
      const expected = messages.filter(({ headers }) => headers[HEADER.key] === key).map(({ id }) => id)
      // An ack may be lost with its connection, never the order.
      expect([...new Set(done.get(key))]).toEqual(expected)
    }
  })

  test('notes of messages that are gone, and late ones of a former owner, go; what nobody wrote of ours too', async () => {
    const stage = await setStage()
    const adapter = await stage.adapter()
    await adapter.declare(KEYED)
    const [known, unknown] = [ofKey('a'), ofKey('a')]
    const entry: RetryEntry = {
      kind: 'entry',
      owner: 7,
      sequence: 1,
      id: unknown.id,
      key: 'a',
      dueAt: Date.now() + 3_600_000,
      headers: { [HEADER.attempt]: '9' },
      handOvers: 0,
    }
    const state = stateOf(stage.partitionOf('a'))
    const put = (body: Uint8Array): boolean => stage.channel.sendToQueue(state, Buffer.from(body), { persistent: true })
    put(encodeNote(entry))
    put(Buffer.from('nonsense'))
    await eventually(async () => (await stage.notesOf('a')) === 2)
    await publishAll(adapter, KEYED, [known])
    const got = await collectDeliveries(adapter, KEYED)
    const first = await got.at(0)
    expect(first.message.headers[HEADER.attempt]).toBeUndefined()
    expect(first.fence).toBeGreaterThan(7 * 2 ** 32)
    await first.retry({ delayMs: 0, headers: { [HEADER.attempt]: '2' } })
    const second = await got.at(1)
    put(encodeNote({ ...entry, id: known.id, sequence: 99 }))
    await adapter.stop()
    const heir = await collectDeliveries(await stage.adapter(), KEYED)
    const third = await heir.at(0)
    expect(third.message.headers[HEADER.attempt]).toBe('2')
    expect(third.fence).toBeGreaterThan(second.fence ?? Infinity)
    third.ack()
    await heir.subscription.stop()
    await eventually(async () => (await stage.notesOf('a')) === 1, { what: 'only the number of the last owner' })
  })

  test('an id that lies twice in a partition is tried again as one, then runs as the other', async () => {
    const stage = await setStage()
    const [one, twin] = [ofKey('a', { id: 'twin' }), ofKey('a', { id: 'twin' })]
    await publishAll(await stage.adapter(), KEYED, [one, twin])
    const owner = await stage.owner()
    await owner.at(0)
    await owner.tell('retry twin 0 2')
    expect(await owner.at(1)).toMatchObject({ attempt: '2' })
    await owner.kill()
    const heir = await stage.owner()
    expect(await heir.at(0)).toMatchObject({ attempt: '2', handBacks: 1 })
    await heir.tell('ack twin')
    expect((await heir.at(1)).attempt).toBeUndefined()
  })

  test('what is delayed does not hold its key before its time', async () => {
    const stage = await setStage()
    const [late, soon] = [ofKey('a', { delayMs: 1_300 }), ofKey('a')]
    await publishAll(await stage.adapter(), KEYED, [late, soon])
    const owner = await stage.owner()
    expect(await owner.at(0)).toMatchObject({ id: soon.id })
    await owner.tell(`ack ${soon.id}`)
    expect(await owner.at(1)).toMatchObject({ id: late.id, redelivered: false })
  })
})
