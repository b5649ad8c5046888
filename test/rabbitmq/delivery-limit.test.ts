import { randomBytes } from 'node:crypto'
import { connect } from 'amqplib'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { workQueue } from '../../broker-adapters/rabbitmq/topology.ts'
import { queueRef, requestOf } from '../conformance/case-context.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { startAdapter } from './keyed.ts'

const { url, whyNot } = inject('rabbitmq')
const QUEUE = queueRef()

async function setUp(server: string) {
  const namespace = `d${randomBytes(5).toString('hex')}`
  const adapter = await startAdapter(namespace, server)
  await adapter.declare(QUEUE)
  const model = await connect(server, { noDelay: true })
  const channel = await model.createChannel()
  const name = workQueue(namespace, QUEUE).name
  onTestFinished(async () => {
    await model.close()
    await adapter.stop()
  })
  const handOuts = new Map<string, number>()
  return {
    adapter,
    handOuts,
    /** A stranger's consumer, which gives back whatever it gets. */
    nackAll: async (): Promise<void> => {
      await channel.prefetch(10)
      await channel.consume(name, (raw) => {
        if (raw === null) return
        const id = String(raw.properties.messageId)
        handOuts.set(id, (handOuts.get(id) ?? 0) + 1)
        channel.nack(raw, false, true)
      })
    },
    letters: () => allOf(adapter.deadLetters(QUEUE).list()),
  }
}

describe.skipIf(url === undefined)(`delivery limit${url === undefined ? ` [${whyNot}]` : ''}`, () => {
  const at = url ?? ''

  test('what a stranger gives back for ever ends among the dead letters, delayed before or not', async () => {
    const { adapter, handOuts, nackAll, letters } = await setUp(at)
    const plain = requestOf({ headers: { 'rt-method': 'work' } })
    const delayed = requestOf({ headers: { 'rt-method': 'work' }, delayMs: 600 })
    expect(await adapter.publish(QUEUE, [plain, delayed])).toMatchObject([{ status: 'stored' }, { status: 'stored' }])
    await nackAll()
    const found = await eventually(
      async () => {
        const all = await letters()
        return all.length === 2 ? all : undefined
      },
      { within: 40_000, what: 'both are dead letters' },
    )
    expect(found.map(({ message }) => message.id).toSorted()).toEqual([plain.id, delayed.id].toSorted())
    for (const { code, reason } of found) {
      expect(code).toBe('CRASHED')
      expect(reason).toContain('delivery_limit')
    }
    for (const { id } of [plain, delayed]) expect(handOuts.get(id)).toBeGreaterThan(1_000)
    expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 0, dead: 2 })
  }, 60_000)

  test('what expired is no dead letter', async () => {
    const { adapter, letters } = await setUp(at)
    const [brief, lasting] = [requestOf({ expiresInMs: 50 }), requestOf({})]
    await adapter.publish(QUEUE, [brief, lasting])
    await eventually(async () => (await adapter.stats(QUEUE)).ready === 1)
    await adapter.park(QUEUE, lasting, { code: 'CRASHED', reason: 'no', attempts: 1 })
    expect((await letters()).map(({ message }) => message.id)).toEqual([lasting.id])
  })
})
