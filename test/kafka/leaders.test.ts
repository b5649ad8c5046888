import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { eventuallyPasses } from '../support/eventually.ts'
import { goesOn, startLoad, type Load } from '../support/load.ts'
import { SHORT_SESSIONS, small } from './targets.ts'

const { hasPackage } = inject('kafka')

/** All that one namespace stands on. */
function topicsOf({ namespace }: Load): readonly string[] {
  return [`${namespace}.q.default.jobs.v1`, `${namespace}.reply`, `${namespace}.ctl`]
}

/** Of each partition of these topics who leads it. */
async function leadersOf(server: OwnKafka, topics: readonly string[]) {
  const { topics: found } = await server.admin((admin) => admin.fetchTopicMetadata({ topics: [...topics] }))
  return found.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionId: partition, leader, replicas, isr }) => ({
      topic: name,
      partition,
      leader,
      replicas,
      isr,
    })),
  )
}

/** Three nodes, each of which has a copy of everything. */
describe.skipIf(!hasPackage)('other nodes take over under load, and nothing is lost', { timeout: 150_000 }, () => {
  let server: OwnKafka
  beforeAll(async () => void (server = await startKafka({ nodes: 3, config: SHORT_SESSIONS })), 120_000)
  afterAll(() => server.end(), 60_000)

  test('the one that leads is killed, and comes back', async () => {
    const load = await startLoad(() => small(server.url))
    const [first] = await leadersOf(server, topicsOf(load))
    const node = server.node(first?.leader ?? 1)
    await node.kill()
    await goesOn(load)
    await node.start()
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('all of them are restarted, one after the other', async () => {
    const load = await startLoad(() => small(server.url))
    for (const id of [1, 2, 3]) {
      await server.node(id).stop()
      await goesOn(load)
      await server.node(id).start()
    }
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('an operator moves every partition to another leader', async () => {
    const load = await startLoad(() => small(server.url))
    const before = await leadersOf(server, topicsOf(load))
    const topics = topicsOf(load).map((topic) => ({
      topic,
      partitionAssignment: before
        .filter((one) => one.topic === topic)
        .map(({ partition, leader, replicas }) => ({ partition, replicas: replicas.filter((id) => id !== leader) })),
    }))
    await server.admin((admin) => admin.alterPartitionReassignments({ topics }))
    await eventuallyPasses(
      async () => {
        const now = await leadersOf(server, topicsOf(load))
        const isBefore = (one: (typeof now)[number]): boolean =>
          before.some((old) => old.topic === one.topic && old.partition === one.partition && old.leader === one.leader)
        expect(now.filter((one) => one.leader < 0 || isBefore(one))).toEqual([])
      },
      { within: 30_000 },
    )
    await goesOn(load)
    expect(await load.settle()).toBe(0)
    expect(load.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})
