import { queueName } from '../../protocol/queue-names.ts'
import type { QueueRef } from '../../protocol/message.ts'
import { BrokerError } from '../../protocol/errors.ts'
import type { AdapterContext } from '../adapter.ts'
import { BUCKETS_MS } from './delays.ts'
import { protocolError } from './places.ts'
import type { ResolvedKafkaOptions } from './options.ts'
import type { NewTopic, Place, TopicFacts, Wire } from './wire.ts'

// All that stands at the server. Whoever needs a topic makes it; one that is there is taken as it is.

/** Every topic of a namespace. */
export interface Names {
  readonly reply: string
  readonly kept: string
  readonly control: string
  readonly delay: string
  readonly delayPurges: string
}

export function namesOf(namespace: string): Names {
  return {
    reply: `${namespace}.reply`,
    kept: `${namespace}.kept`,
    control: `${namespace}.ctl`,
    delay: `${namespace}.delay`,
    delayPurges: `${namespace}.delay.purges`,
  }
}

/** A queue and its topics. */
export interface WorkQueue {
  /** Its topic, and the group of its consumers. */
  readonly name: string
  /** Where what is urgent waits; undefined: the queue has no priority. */
  readonly high: string | undefined
  readonly dead: string
  /** It is there while the queue is paused. */
  readonly paused: string
  /** What a retry changed of a message that keeps its place; undefined: the queue is not keyed. */
  readonly notes: string | undefined
  readonly isKeyed: boolean
}

export function workQueue(namespace: string, queue: QueueRef): WorkQueue {
  const name = queueName(namespace, queue)
  return {
    name,
    high: queue.features.priority ? `${name}.high` : undefined,
    dead: `${name}.dead`,
    paused: `${name}.paused`,
    notes: queue.features.keyed ? `${name}.notes` : undefined,
    isKeyed: queue.features.keyed,
  }
}

/** The work topics of a queue. */
export function lanesOf({ name, high }: WorkQueue): readonly string[] {
  return high === undefined ? [name] : [name, high]
}

/** For how long what a delay or a pause needs is kept: by design for ever. */
const FOR_EVER = '-1'
/** Of broadcasts, which nobody reads later. */
const CONTROL_MS = 3_600_000
/** For how long a reply waits for its client to come back. */
const REPLY_MS = 86_400_000
export const KEPT_PARTITIONS = 8

const SETTINGS = {
  'cleanup.policy': 'delete',
  /** Times are the broker's own, so that one clock says what is older. */
  'message.timestamp.type': 'LogAppendTime',
  /** As it comes: not every kind can be read by the library. */
  'compression.type': 'producer',
} as const

/** How each topic is made. */
export interface Topics {
  work(queue: WorkQueue): readonly NewTopic[]
  readonly dead: (queue: WorkQueue) => NewTopic
  readonly notes: (queue: WorkQueue, partitions: number) => NewTopic | undefined
  readonly paused: (queue: WorkQueue) => NewTopic
  readonly reply: NewTopic
  readonly kept: NewTopic
  readonly control: NewTopic
  readonly delay: NewTopic
  readonly delayPurges: NewTopic
}

export function createTopics(namespace: string, options: ResolvedKafkaOptions): Topics {
  const names = namesOf(namespace)
  const topic = (name: string, partitions: number, retentionMs: number | string): NewTopic => ({
    topic: name,
    partitions,
    replicas: options.replicationFactor,
    configs: { ...SETTINGS, 'retention.ms': String(retentionMs) },
  })
  return {
    work: (queue) => lanesOf(queue).map((name) => topic(name, options.partitions, options.retentionMs)),
    dead: ({ dead }) => topic(dead, 1, FOR_EVER),
    notes: ({ notes }, partitions) => (notes === undefined ? undefined : topic(notes, partitions, options.retentionMs)),
    paused: ({ paused }) => topic(paused, 1, FOR_EVER),
    reply: topic(names.reply, options.replyPartitions, REPLY_MS),
    kept: topic(names.kept, KEPT_PARTITIONS, options.maxKeepMs + REPLY_MS),
    control: topic(names.control, 1, CONTROL_MS),
    delay: topic(names.delay, BUCKETS_MS.length, FOR_EVER),
    delayPurges: topic(names.delayPurges, 1, FOR_EVER),
  }
}

/**
 * Makes what is missing, and waits until each has a leader. Rejects with an error of the library, or with BROKER_REFUSED for
 * what dialling again cannot mend.
 */
export async function ensureTopics(wire: Wire, wanted: readonly NewTopic[]): Promise<readonly TopicFacts[]> {
  const found = await Promise.all(wanted.map(({ topic }) => wire.topic(topic)))
  const missing = wanted.filter((_, index) => found[index] === undefined)
  if (missing.length > 0) {
    const errors = await wire.createTopics(missing)
    for (const [index, error] of errors.entries())
      if (error !== undefined && error !== 'TOPIC_ALREADY_EXISTS')
        throw makingFailed(missing[index]?.topic ?? '', error)
  }
  return Promise.all(wanted.map((one) => whenLed(wire, one.topic, missing.includes(one))))
}

function makingFailed(topic: string, error: string): Error {
  if (!/^(?:TOPIC_AUTHORIZATION_FAILED|CLUSTER_AUTHORIZATION_FAILED|POLICY_VIOLATION|INVALID_)/.test(error))
    return protocolError(error, `making topic ${topic}`)
  return new BrokerError(
    'BROKER_REFUSED',
    `the server does not let topic ${topic} be made (${error}): make it beforehand or grant CREATE, docs/kafka.md says how`,
  )
}

const LEADER_LOOKS = 50
const LEADER_PAUSE_MS = 20

async function whenLed(wire: Wire, topic: string, isNew: boolean): Promise<TopicFacts> {
  let last: unknown
  for (let look = 0; look < LEADER_LOOKS; look++) {
    try {
      const facts = await wire.topic(topic)
      if (facts !== undefined && facts.leaders.every((leader) => leader >= 0)) {
        if (isNew) await wire.offsets(partitionsOf(topic, facts), 'latest') // a leader may not have heard of it yet
        return facts
      }
      last = protocolError('LEADER_NOT_AVAILABLE', `topic ${topic}`)
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, LEADER_PAUSE_MS + look * 4))
    wire.forget(topic)
  }
  throw last
}

export function partitionsOf(topic: string, { partitions }: TopicFacts): readonly Place[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
}

/** Says what an existing topic may lose: it was made by somebody else, or with other options. */
export async function warnOfSettings(
  wire: Wire,
  { topic, configs }: NewTopic,
  log: AdapterContext['log'],
): Promise<void> {
  const wanted = Number(configs['retention.ms'])
  let settings: ReadonlyMap<string, string>
  try {
    settings = await wire.configsOf(topic)
  } catch {
    return // it may not be asked
  }
  const retention = Number(settings.get('retention.ms') ?? wanted)
  const isShorter = retention >= 0 && (wanted < 0 || retention < wanted)
  if (isShorter)
    log(
      'warn',
      'KAFKA_RETENTION',
      `topic ${topic} keeps what waits for ${retention} ms only (retention.ms); what waits longer is lost without a word. Wanted: ${wanted === -1 ? 'no limit' : `${wanted} ms`}`,
    )
  if (/compact/.test(settings.get('cleanup.policy') ?? ''))
    log('warn', 'KAFKA_COMPACTION', `topic ${topic} is compacted: of messages with one key only the last one stays`)
  const compression = settings.get('compression.type') ?? 'producer'
  if (!/^(?:producer|uncompressed|gzip)$/.test(compression))
    log(
      'error',
      'KAFKA_COMPRESSION',
      `topic ${topic} is compressed by the server with ${compression}, which the library cannot read: nothing in it is consumed until compression.type is 'producer'`,
    )
}
