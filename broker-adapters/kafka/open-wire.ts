import {
  fetchedOf,
  offsetOf,
  type FetchAnswer,
  type MetadataAnswer,
  type OffsetsAnswer,
  type ProduceAnswer,
} from './answers.ts'
import { FETCH_CODEC, produceCodec } from './codecs.ts'
import { isStale, nameOfError, provesNotStored, shortOf } from './failures.ts'
import { openLibrary, type Node } from './library.ts'
import { createNodes } from './nodes.ts'
import { openGroup } from './open-group.ts'
import type { ResolvedKafkaOptions } from './options.ts'
import { groupByTopic, protocolError } from './places.ts'
import type { Appended, Batch, NewTopic, OffsetWish, Place, TopicFacts, Wire } from './wire.ts'

interface WireOptions {
  readonly options: ResolvedKafkaOptions
  /** For the server's logs. */
  readonly use: string
  /** A connection that was there is gone; another one is dialled when it is needed. */
  readonly onClosed?: ((reason: string) => void) | undefined
}

export function openWire({ options, use, onClosed = () => {} }: WireOptions): Wire {
  const library = openLibrary(options, { use, onClosed })
  const nodes = createNodes(library, options.nodes.length)
  const producing = produceCodec(library.crcOf)
  const topics = new Map<string, { readonly facts: Promise<TopicFacts | undefined>; readonly at: number }>()

  /** Also tells which nodes there are, whoever asks. */
  async function askFor(name: string): Promise<MetadataAnswer> {
    const answer = (await library.ask(await nodes.any(), 'Metadata', {
      topics: [name],
      allowAutoTopicCreation: false,
    })) as MetadataAnswer // so the protocol says
    for (const broker of answer.brokers) nodes.learn(broker)
    return answer
  }

  async function askForTopic(name: string): Promise<TopicFacts | undefined> {
    const answer = await askFor(name)
    const found = answer.topicMetadata.find(({ topic }) => topic === name)
    const error = library.errorName(found?.topicErrorCode ?? 0)
    if (found === undefined || error === 'UNKNOWN_TOPIC_OR_PARTITION' || error === 'INVALID_TOPIC_EXCEPTION')
      return undefined
    if (error !== undefined) throw protocolError(error, `topic ${name}`)
    const leaders: number[] = []
    for (const { partitionId, leader } of found.partitionMetadata) leaders[partitionId] = leader
    return { partitions: leaders.length, leaders }
  }

  async function topic(name: string): Promise<TopicFacts | undefined> {
    const known = topics.get(name)
    if (known !== undefined && performance.now() - known.at < MAX_AGE_MS) return known.facts
    const asked = askForTopic(name)
    topics.set(name, { facts: asked, at: performance.now() })
    const forget = (): void => {
      if (topics.get(name)?.facts === asked) topics.delete(name)
    }
    // What is missing, or has no leader yet, is asked for again next time.
    asked.then((facts) => (facts === undefined || facts.leaders.some((leader) => leader < 0)) && forget(), forget)
    return asked
  }

  async function leaderOf({ topic: name, partition }: Place): Promise<number> {
    const facts = await topic(name)
    if (facts === undefined) throw protocolError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name}`)
    const leader = facts.leaders[partition]
    if (leader === undefined) throw protocolError('UNKNOWN_TOPIC_OR_PARTITION', `partition ${partition} of ${name}`)
    if (leader < 0) throw protocolError('LEADER_NOT_AVAILABLE', `partition ${partition} of ${name}`)
    return leader
  }

  async function byLeader<P extends Place>(places: readonly P[]): Promise<ReadonlyMap<number, readonly P[]>> {
    const led = new Map<number, P[]>()
    for (const place of places) {
      const leader = await leaderOf(place)
      const others = led.get(leader)
      if (others === undefined) led.set(leader, [place])
      else others.push(place)
    }
    return led
  }

  async function produceTo(leader: number, batches: readonly Batch[], timeoutMs: number): Promise<readonly Appended[]> {
    let node: Node
    try {
      node = await nodes.node(leader)
    } catch (error) {
      for (const batch of batches) topics.delete(batch.topic) // somebody else may lead by now
      return batches.map(() => ({ status: 'notSent', error: nameOfError(error), reason: shortOf(error) }))
    }
    try {
      const topicData = groupByTopic(batches, ({ partition, records }) => ({ partition, messages: records }))
      const answer = await library.ask(node, 'Produce', { acks: -1, timeout: timeoutMs, topicData }, producing)
      const { topics: answered } = answer as ProduceAnswer // so the protocol says
      return batches.map((batch) => appendedOf(batch, answered))
    } catch (error) {
      return batches.map(() => ({ status: 'unknown', error: nameOfError(error), reason: shortOf(error) }))
    }
  }

  function appendedOf(batch: Batch, answered: ProduceAnswer['topics']): Appended {
    const part = answered
      .find(({ topicName }) => topicName === batch.topic)
      ?.partitions.find(({ partition }) => partition === batch.partition)
    if (part === undefined) return { status: 'unknown', error: 'NO_ANSWER', reason: 'the server did not answer' }
    const error = library.errorName(part.errorCode)
    if (error === undefined)
      return { status: 'stored', offset: Number(part.baseOffset), timestamp: Number(part.logAppendTime) }
    topics.delete(batch.topic)
    return { status: provesNotStored(error) ? 'refused' : 'unknown', error, reason: `the server says ${error}` }
  }

  async function askOffsets(places: readonly Place[], wish: OffsetWish): Promise<readonly number[]> {
    const offsets: number[] = []
    const timestamp = wish === 'earliest' ? -2 : wish === 'latest' ? -1 : wish
    for (const [leader, mine] of await byLeader(places)) {
      const answer = (await library.ask(await nodes.node(leader), 'ListOffsets', {
        replicaId: -1,
        isolationLevel: 1,
        topics: groupByTopic(mine, ({ partition }) => ({ partition, timestamp })),
      })) as OffsetsAnswer // so the protocol says
      for (const place of mine)
        offsets[places.indexOf(place)] = offsetOf(library, place, answer, (name) => topics.delete(name))
    }
    return offsets
  }

  return {
    async connect() {
      await nodes.any()
    },
    close: () => library.destroy(),
    // It need not be allowed to know of it: any answer will do.
    ping: async () => void (await askFor('__consumer_offsets')),
    topic,
    forget: (name) => void topics.delete(name),
    async produce(batches, timeoutMs) {
      const outcomes: Appended[] = []
      const led = new Map<number, number[]>()
      await Promise.all(
        batches.map(async (batch, index) => {
          try {
            const leader = await leaderOf(batch)
            const indexes = led.get(leader)
            if (indexes === undefined) led.set(leader, [index])
            else indexes.push(index)
          } catch (error) {
            outcomes[index] = { status: 'notSent', error: nameOfError(error), reason: shortOf(error) }
          }
        }),
      )
      await Promise.all(
        Array.from(led, async ([leader, indexes]) => {
          const mine = indexes.flatMap((index) => batches[index] ?? [])
          const appended = await produceTo(leader, mine, timeoutMs)
          for (const [at, index] of indexes.entries()) outcomes[index] = appended[at] ?? NO_OUTCOME
        }),
      )
      return outcomes
    },
    async fetch(leader, positions, { waitMs, maxBytes }) {
      const node = await nodes.node(leader)
      const topics = groupByTopic(positions, ({ partition, offset }) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes: BYTES_OF_PARTITION,
      }))
      const payload = { maxWaitTime: waitMs, minBytes: 1, maxBytes, isolationLevel: 1, topics }
      const answer = (await library.ask(node, 'Fetch', payload, FETCH_CODEC)) as FetchAnswer // so the protocol says
      return positions.map((position) => fetchedOf(library, position, answer))
    },
    offsets: (places, wish) => whileMoving(() => askOffsets(places, wish)),
    async createTopics(wanted) {
      const answer = (await library.ask(await nodes.any(), 'CreateTopics', {
        topics: wanted.map(topicRequest),
        validateOnly: false,
        timeout: options.requestTimeoutMs,
      })) as { readonly topicErrors: readonly { readonly topic: string; readonly errorCode: number }[] } // so the protocol says
      for (const { topic: name } of wanted) topics.delete(name)
      return wanted.map((one) => {
        const found = answer.topicErrors.find((entry) => entry.topic === one.topic)
        return library.errorName(found?.errorCode ?? 0)
      })
    },
    async deleteTopic(name) {
      topics.delete(name)
      await (await nodes.any()).deleteTopics({ topics: [name], timeout: options.requestTimeoutMs })
    },
    async deleteRecords(positions) {
      for (const [leader, mine] of await byLeader(positions)) {
        const node = await nodes.node(leader)
        const topics = groupByTopic(mine, ({ partition, offset }) => ({ partition, offset: String(offset) }))
        for (const one of topics) await node.deleteRecords({ topics: [one] })
      }
    },
    async configsOf(name) {
      const node = await nodes.any()
      const { resources } = await node.describeConfigs({ resources: [{ type: TOPIC_RESOURCE, name }] })
      const entries = resources[0]?.configEntries ?? []
      return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? '']))
    },
    group: (id) => openGroup(nodes, id).wire,
    committed: (id, places) => openGroup(nodes, id).committed(places),
    members: (id) => openGroup(nodes, id).members(),
  }
}

const BYTES_OF_PARTITION = 1024 * 1024
const TOPIC_RESOURCE = 2
const MOVING_TRIES = 25
const MOVING_PAUSE_MS = 100
/** A topic may get more partitions. As Kafka's own clients have it (`metadata.max.age.ms`). */
const MAX_AGE_MS = 300_000
const NO_OUTCOME: Appended = { status: 'unknown', error: 'NO_ANSWER', reason: 'the server did not answer' }

function topicRequest({ topic, partitions, replicas, configs }: NewTopic): object {
  return {
    topic,
    numPartitions: partitions,
    replicationFactor: replicas,
    configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })),
  }
}

/** A question changes nothing: it is asked again while another node takes over, or has not heard yet that it leads a new topic. */
async function whileMoving<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      const name = nameOfError(error)
      if (tries === MOVING_TRIES || !isStale(name) || name === 'UNKNOWN_TOPIC_OR_PARTITION') throw error
    }
    await new Promise((resolve) => setTimeout(resolve, MOVING_PAUSE_MS))
  }
}
