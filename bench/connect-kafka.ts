import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Admin } from 'kafkajs'

/** The library as it is, but for Nagle's algorithm, which it leaves on: 40 ms for what goes in two pieces. Ours turns it off, too. */
export function connectKafka(broker: string): Kafka {
  return new Kafka({
    clientId: 'bench',
    brokers: broker.replace(/^kafka:\/\//, '').split(','),
    logLevel: logLevel.NOTHING,
    socketFactory: ({ host, port, onConnect }) => connect({ host, port, noDelay: true, keepAlive: true }, onConnect),
  })
}

/** With an admin client until `use` has ended. */
export async function withAdmin<T>(kafka: Kafka, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

const LOOKS = 50
const LOOK_MS = 100

/** Whoever is first makes it. Resolves when each partition has a leader, for which the library does not wait if the server is busy. */
export async function makeTopic(kafka: Kafka, topic: string, numPartitions: number): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false })
    for (let look = 0; look < LOOKS; look++) {
      if (await isLed(admin, topic)) return
      await sleep(LOOK_MS)
    }
    throw new Error(`topic ${topic} has no leader`)
  })
}

async function isLed(admin: Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    return topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0))
  } catch {
    return false // not all of the server has heard of it
  }
}
