import type { Channel } from 'amqplib'
import { BrokerError } from '../../protocol/errors.ts'
import type { AdapterContext } from '../adapter.ts'
import type { Session } from './dial.ts'
import { isMissing, isOtherwise, toBrokerError } from './failures.ts'
import type { QueueShape } from './topology.ts'

/**
 * A channel for one piece of work: whatever the server refuses closes only this one. On the connection that no alarm blocks.
 * Rejects as the work does; `throughSeam` makes that an error of ours.
 */
export async function withChannel<T>(session: Session, use: (channel: Channel) => Promise<T>): Promise<T> {
  const channel = await openChannel(session)
  try {
    return await use(channel)
  } finally {
    // One that the server has closed cannot be closed again.
    channel.close().catch(() => {})
  }
}

export async function openChannel(session: Session): Promise<Channel> {
  const channel = await answered(session, 'channel.open', session.consuming.createChannel())
  for (const question of QUESTIONS) {
    const ask = channel[question].bind(channel) as (...args: unknown[]) => Promise<unknown> // each of its own type
    Object.assign(channel, {
      [question]: (...args: unknown[]) => answered(session, nameOf(question, args), ask(...args)),
    })
  }
  channel.on('error', () => {}) // whoever asked gets it
  session.channels.add(channel)
  channel.on('close', () => session.channels.delete(channel))
  return channel
}

const QUESTIONS = [
  'assertExchange',
  'assertQueue',
  'bindExchange',
  'bindQueue',
  'cancel',
  'checkQueue',
  'close',
  'consume',
  'deleteQueue',
  'get',
  'prefetch',
  'purgeQueue',
  'unbindQueue',
] as const satisfies readonly (keyof Channel)[]

/** With the queue or the exchange that it is about. */
function nameOf(question: string, [about]: unknown[]): string {
  return typeof about === 'string' ? `${question} ${about}` : question
}

/** No question takes a server that works so long. */
const ANSWER_MS = 10_000

/**
 * A server may leave a question unanswered for ever, 3.10 that of consuming a quorum queue which has no leader yet after a
 * crash. Its channel is stuck then, and what that holds is held until its connection ends. And when the connection ends, amqplib
 * leaves open who waits for the end of a channel.
 */
function answered<T>(session: Session, question: string, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (reason: string): void => {
      stop()
      reject(new BrokerError('BROKER_UNAVAILABLE', `no answer to ${question}: ${reason}`))
    }
    const timer = setTimeout(() => {
      session.fail(
        `the server did not answer ${question} within ${ANSWER_MS} ms (docs/rabbitmq.md: a queue without a leader)`,
      )
    }, ANSWER_MS)
    const stop = (): void => {
      clearTimeout(timer)
      session.onEnd.delete(end)
    }
    session.onEnd.add(end)
    answer.then(resolve, reject).finally(stop)
    if (!session.isOpen) end('the session is over')
  })
}

/** What the server or amqplib rejects with, as an error that may cross the seam. */
export async function throughSeam<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toBrokerError(error, url)
  }
}

/** Undefined: there is no such queue. */
export async function countsOf(
  session: Session,
  queue: string,
): Promise<{ readonly ready: number; readonly consumers: number } | undefined> {
  try {
    const { messageCount, consumerCount } = await withChannel(session, (channel) => channel.checkQueue(queue))
    return { ready: messageCount, consumers: consumerCount }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Makes it if it is missing. One that is there with other arguments is taken as it is: operators change things. */
export async function declareQueue(
  session: Session,
  { name, options }: QueueShape,
  log: AdapterContext['log'],
): Promise<void> {
  try {
    await withChannel(session, (channel) => channel.assertQueue(name, options))
  } catch (error) {
    if (!isOtherwise(error)) throw error
    await withChannel(session, (channel) => channel.checkQueue(name))
    log(
      'warn',
      'RABBITMQ_QUEUE',
      `the queue ${name} is there with other arguments and is used as it is; docs/rabbitmq.md says what that may weaken`,
    )
  }
}
