import { connect, type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// Request and reply as one would write them by hand over amqplib, with the durability of ours: everything persistent and
// confirmed, a reply confirmed before its request is acked, replies in a durable classic queue. No deadlines, retries,
// returns or reconnects; one connection a process, a channel to publish and one to consume.

const PREFETCH = 1_000
/** So that what is left of a benchmark that was killed goes by itself. */
const UNUSED_MS = 120_000

/** @param type of the queue of requests */
export function amqplibReference(type: 'classic' | 'quorum'): Subject {
  return {
    startClient: (place) => startClient(place, type),
    startWorker: (place) => startWorker(place, type),
  }
}

interface Connection {
  readonly model: ChannelModel
  readonly publishing: ConfirmChannel
  readonly consuming: Channel
  readonly requests: string
}

async function open({ broker, namespace }: Place, type: 'classic' | 'quorum'): Promise<Connection> {
  const model = await connect(broker, { noDelay: true })
  const publishing = await model.createConfirmChannel()
  const consuming = await model.createChannel()
  const requests = `${namespace}.${type}`
  await consuming.assertQueue(requests, { durable: true, arguments: { 'x-queue-type': type, 'x-expires': UNUSED_MS } })
  await consuming.prefetch(PREFETCH)
  return { model, publishing, consuming, requests }
}

async function startClient(place: Place, type: 'classic' | 'quorum'): Promise<BenchClient> {
  const { model, publishing, consuming, requests } = await open(place, type)
  const pending = new Map<string, (payload: Payload) => void>()
  const replyTo = `${requests}.replies`
  const args = { 'x-queue-type': 'classic', 'x-expires': UNUSED_MS }
  await consuming.assertQueue(replyTo, { durable: true, arguments: args })
  await consuming.consume(replyTo, (message) => {
    if (message === null) return
    const id = String(message.properties.correlationId)
    pending.get(id)?.(JSON.parse(message.content.toString()) as Payload) // written by `startWorker`
    pending.delete(id)
    consuming.ack(message)
  })
  return {
    call: (payload) =>
      new Promise((resolve, reject) => {
        const correlationId = String(payload.id)
        pending.set(correlationId, resolve)
        const body = Buffer.from(JSON.stringify(payload))
        publishing.sendToQueue(requests, body, { persistent: true, correlationId, replyTo }, orElse(reject))
      }),
    send: (payload) =>
      new Promise((resolve, reject) => {
        const body = Buffer.from(JSON.stringify(payload))
        publishing.sendToQueue(requests, body, { persistent: true }, orElse(reject, resolve))
      }),
    async close() {
      await consuming.deleteQueue(replyTo)
      await consuming.deleteQueue(requests)
      await model.close()
    },
  }
}

async function startWorker(place: Place, type: 'classic' | 'quorum'): Promise<BenchWorker> {
  const { model, publishing, consuming, requests } = await open(place, type)
  const handled = countHandled()
  let isClosing = false
  const fail = (error: unknown): void => {
    if (isClosing) return // what is not confirmed yet is not waited for
    throw error instanceof Error ? error : new Error(String(error))
  }
  await consuming.consume(requests, (message) => {
    if (message === null) return
    const payload = JSON.parse(message.content.toString()) as Payload // written by `startClient`
    const { replyTo, correlationId } = message.properties
    const end = (): void => {
      consuming.ack(message)
      handled.add(1)
    }
    if (typeof replyTo !== 'string') return end()
    const body = Buffer.from(JSON.stringify(payload))
    publishing.sendToQueue(replyTo, body, { persistent: true, correlationId }, orElse(fail, end))
  })
  return {
    handled: (count) => handled.reached(count),
    close() {
      isClosing = true
      return model.close()
    },
  }
}

function orElse(fail: (error: unknown) => void, done?: () => void): (error: unknown) => void {
  return (error) => {
    if (error === null || error === undefined) done?.()
    else fail(error)
  }
}
