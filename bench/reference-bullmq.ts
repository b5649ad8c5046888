import { Queue, QueueEvents, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// A call by BullMQ's own means: add, then waitUntilFinished, which hears of each job that ends by the stream of events. A send is
// an add. Options are its defaults, but for concurrency and for what is done, which is removed.

const CONCURRENCY = 1_000
const QUEUE = 'bullmq'

export const bullmqReference: Subject = { startClient, startWorker }

function connectTo({ broker }: Place): Redis {
  return new Redis(broker, { maxRetriesPerRequest: null })
}

async function startClient(place: Place): Promise<BenchClient> {
  const connections = [connectTo(place), connectTo(place)] as const
  const prefix = `{${place.namespace}}`
  const defaultJobOptions = { removeOnComplete: { age: 60, count: 10_000 } }
  const queue = new Queue<Payload, Payload>(QUEUE, { prefix, connection: connections[0], defaultJobOptions })
  const events = new QueueEvents(QUEUE, { prefix, connection: connections[1] })
  events.setMaxListeners(0) // one for each call that waits
  await events.waitUntilReady()
  return {
    async call(payload) {
      const job = await queue.add('echo', payload)
      return job.waitUntilFinished(events)
    },
    send: async (payload) => void (await queue.add('store', payload)),
    async close() {
      await events.close()
      await queue.close()
      for (const connection of connections) connection.disconnect()
    },
  }
}

async function startWorker(place: Place): Promise<BenchWorker> {
  const connection = connectTo(place)
  const handled = countHandled()
  const worker = new Worker<Payload, Payload>(
    QUEUE,
    ({ name, data }) => {
      if (name === 'store') handled.add(1)
      return Promise.resolve(data)
    },
    { prefix: `{${place.namespace}}`, connection, concurrency: CONCURRENCY },
  )
  await worker.waitUntilReady()
  return {
    handled: (count) => handled.reached(count),
    async close() {
      await worker.close(true)
      connection.disconnect()
    },
  }
}
