import { Partitioners, type Consumer, type KafkaMessage, type Message } from 'kafkajs'
import { connectKafka, makeTopic } from './connect-kafka.ts'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// Request and reply as one would write them by hand over the public API of kafkajs: a topic of requests with a group of workers, a
// topic of replies with a group of its client, a reply stored (acks of all copies) before its request's offset is committed. No
// deadlines, retries, dead letters, or anything for requests that are done while earlier ones are not.
//
// 'tick': what has gathered in a turn of the event loop is one produce, a fetch is answered at once, and offsets are committed as
// often as ours does. 'each': as the library's first page shows it: a produce per message, `eachMessage`, commits by itself.

/**
 * Of the topic of requests: as many as ours makes by default, for both, as produces and fetches cost more the more partitions they
 * touch, and as so many workers can share the work. All are worked on at once: by default the library takes one after the other.
 */
const PARTITIONS = 24
/** Ours commits as often. */
const COMMIT_MS = 100
/** A fetch that finds nothing waits so long, and whoever closes waits for it; 5 s by default. What comes ends it at once. */
const MAX_WAIT_MS = 500
const ACKS_OF_ALL = -1

type Style = 'tick' | 'each'
/** Resolves when it is stored. */
type Append = (topic: string, message: Message) => Promise<unknown>

export function kafkajsReference(style: Style): Subject {
  return {
    startClient: (place) => startClient(place, style),
    startWorker: (place) => startWorker(place, style),
  }
}

interface Connection {
  readonly append: Append
  readonly consumer: Consumer
  readonly requests: string
  readonly replies: string
  readonly close: () => Promise<void>
}

/** @param role also the name of its group */
async function open({ broker, namespace }: Place, style: Style, role: 'client' | 'worker'): Promise<Connection> {
  const kafka = connectKafka(broker)
  const requests = `${namespace}.requests`
  const replies = `${namespace}.replies`
  await makeTopic(kafka, requests, PARTITIONS)
  await makeTopic(kafka, replies, 1) // of this one client
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })
  const consumer = kafka.consumer({
    groupId: `${namespace}.${role}`,
    maxWaitTimeInMs: MAX_WAIT_MS,
    allowAutoTopicCreation: false, // else one that ends late makes again what was removed
  })
  await producer.connect()
  await consumer.connect()
  const each: Append = (topic, message) => producer.send({ topic, acks: ACKS_OF_ALL, messages: [message] })
  const perTick = gather((topicMessages) => producer.sendBatch({ acks: ACKS_OF_ALL, topicMessages }))
  return {
    append: style === 'tick' ? perTick : each,
    consumer,
    requests,
    replies,
    async close() {
      await consumer.disconnect()
      await producer.disconnect()
    },
  }
}

function gather(send: (batch: { topic: string; messages: Message[] }[]) => Promise<unknown>): Append {
  let gathered = new Map<string, Message[]>()
  let sent: Promise<unknown> | undefined

  async function flush(): Promise<unknown> {
    await new Promise((resolve) => setImmediate(resolve)) // by then this turn has read all that had come
    const batch = Array.from(gathered, ([topic, messages]) => ({ topic, messages }))
    gathered = new Map()
    sent = undefined
    return send(batch)
  }

  return (topic, message) => {
    const others = gathered.get(topic)
    if (others === undefined) gathered.set(topic, [message])
    else others.push(message)
    return (sent ??= flush())
  }
}

/** Resolves when it has its partitions. */
function whenJoined(consumer: Consumer): Promise<void> {
  return new Promise((resolve) => {
    const stop = consumer.on(consumer.events.GROUP_JOIN, () => {
      stop()
      resolve()
    })
  })
}

async function startClient(place: Place, style: Style): Promise<BenchClient> {
  const { append, consumer, requests, replies, close } = await open(place, style, 'client')
  const pending = new Map<string, (payload: Payload) => void>()
  const joined = whenJoined(consumer)
  await consumer.subscribe({ topic: replies, fromBeginning: true })
  await consumer.run({
    autoCommit: false, // replies of the past are nobody's
    eachBatch({ batch }) {
      for (const { headers, value } of batch.messages) {
        const id = String(headers?.['id'])
        pending.get(id)?.(JSON.parse(String(value)) as Payload) // written by `startWorker`
        pending.delete(id)
      }
      return Promise.resolve()
    },
  })
  await joined
  return {
    call: (payload) =>
      new Promise((resolve, reject) => {
        const id = String(payload.id)
        pending.set(id, resolve)
        append(requests, { value: JSON.stringify(payload), headers: { id, replyTo: replies } }).catch(reject)
      }),
    send: async (payload) => void (await append(requests, { value: JSON.stringify(payload) })),
    close,
  }
}

async function startWorker(place: Place, style: Style): Promise<BenchWorker> {
  const { append, consumer, requests, close } = await open(place, style, 'worker')
  const handled = countHandled()

  async function handle({ headers, value }: KafkaMessage): Promise<void> {
    const payload = JSON.parse(String(value)) as Payload // written by `startClient`
    const { id, replyTo } = headers ?? {}
    if (id !== undefined && replyTo !== undefined)
      await append(String(replyTo), { value: JSON.stringify(payload), headers: { id: String(id) } })
    handled.add(1)
  }

  const commits = createCommits(consumer, requests)
  const joined = whenJoined(consumer)
  await consumer.subscribe({ topic: requests, fromBeginning: true })
  if (style === 'each')
    await consumer.run({
      partitionsConsumedConcurrently: PARTITIONS,
      eachMessage: ({ message }) => handle(message),
    })
  else
    await consumer.run({
      partitionsConsumedConcurrently: PARTITIONS,
      autoCommit: false,
      async eachBatch({ batch }) {
        await Promise.all(batch.messages.map(handle))
        commits.done(batch.partition, batch.lastOffset())
      },
    })
  await joined
  return {
    handled: (count) => handled.reached(count),
    async close() {
      commits.end()
      await close()
    },
  }
}

interface Commits {
  done(partition: number, offset: string): void
  end(): void
}

/** What has been answered, of all partitions together, in the background. */
function createCommits(consumer: Consumer, topic: string): Commits {
  const done = new Map<number, bigint>()
  const timer = setInterval(() => {
    if (done.size === 0) return
    const offsets = Array.from(done, ([partition, offset]) => ({ topic, partition, offset: String(offset + 1n) }))
    done.clear()
    consumer.commitOffsets(offsets).catch(() => clearInterval(timer)) // it is closed
  }, COMMIT_MS)
  return {
    done: (partition, offset) => void done.set(partition, BigInt(offset)),
    end: () => clearInterval(timer),
  }
}
