import type { ConfirmChannel, Message as RawMessage, Options } from 'amqplib'
import type { AdapterContext, PublishOutcome } from '../adapter.ts'
import type { Session } from './dial.ts'
import { isDenied, shortOf, sizeLimitOf } from './failures.ts'
import { toBuffer } from './properties.ts'

/** Where a message goes: to the queue of that name, or through an exchange. */
export interface Route {
  readonly exchange?: string | undefined
  readonly key: string
}

/** One confirm channel of one session. */
export interface Publisher {
  /** What became of it, once that is known. Never rejects. `properties` must have a `messageId`. */
  publish(route: Route, body: Uint8Array, properties: Options.Publish): Promise<PublishOutcome>
}

/** The window of what is not confirmed yet; what is beyond it waits, unsent. amqplib keeps them in an array. */
const MAX_UNCONFIRMED = 4_000

interface InFlight {
  readonly key: string
  readonly messageId: unknown
  readonly size: number
  readonly resolve: (outcome: PublishOutcome) => void
  isReturned: boolean
}

/**
 * Confirms and returns of the server become outcomes. A channel that the server closes is opened again; what was on its way
 * then is unknown, but for what the server's words prove.
 */
export function createPublisher(
  session: Session,
  { maxMessageBytes, log }: { readonly maxMessageBytes: number; readonly log: AdapterContext['log'] },
): Publisher {
  const inFlight = new Set<InFlight>()
  const waiting: (() => void)[] = []
  let maxBytes = maxMessageBytes
  let channel: ConfirmChannel | undefined
  let opening = open()

  session.ended.then((reason) => failAll({ status: 'unknown', reason }), unreachable)

  async function open(): Promise<ConfirmChannel | undefined> {
    try {
      const opened = await session.publishing.createConfirmChannel()
      let why: unknown
      opened.on('error', (error) => (why = error))
      opened.on('return', onReturn)
      opened.on('handler-error', (error) => log('error', 'RABBITMQ_CALLBACK', shortOf(error)))
      opened.on('close', () => {
        channel = undefined
        onClosed(why)
        if (session.isOpen) opening = open()
      })
      channel = opened
      return opened
    } catch {
      return undefined // the session ends, which is told by itself
    }
  }

  function onClosed(why: unknown): void {
    const limit = sizeLimitOf(why)
    if (limit !== undefined) maxBytes = Math.min(maxBytes, limit)
    const reason = why === undefined ? 'the channel was closed' : shortOf(why)
    if (isDenied(why)) return failAll({ status: 'refused', reason })
    for (const entry of inFlight) settle(entry, entry.size > maxBytes ? tooLarge() : { status: 'unknown', reason })
  }

  function failAll(outcome: PublishOutcome): void {
    for (const entry of inFlight) settle(entry, outcome)
    for (const next of waiting.splice(0)) next()
  }

  /** Route and message id are all that a return names. It is rare, so it is looked for. */
  function onReturn({ fields, properties }: RawMessage): void {
    for (const entry of inFlight) {
      if (entry.isReturned || entry.key !== fields.routingKey || entry.messageId !== properties.messageId) continue
      entry.isReturned = true
      return
    }
  }

  function settle(entry: InFlight, outcome: PublishOutcome): void {
    if (!inFlight.delete(entry)) return
    waiting.shift()?.()
    entry.resolve(outcome)
  }

  function tooLarge(): PublishOutcome {
    return { status: 'tooLarge', reason: `it takes ${maxBytes} bytes at most` }
  }

  /** The server returns what it cannot route before it confirms it. */
  function send(
    open: ConfirmChannel,
    route: Route,
    body: Uint8Array,
    properties: Options.Publish,
  ): Promise<PublishOutcome> {
    return new Promise((resolve) => {
      const { exchange = '', key } = route
      const { messageId } = properties
      const entry: InFlight = { key, messageId, size: body.length, resolve, isReturned: false }
      inFlight.add(entry)
      try {
        open.publish(exchange, key, toBuffer(body), properties, (error: unknown) => {
          if (error === null || error === undefined) settle(entry, entry.isReturned ? UNROUTABLE : STORED)
          else if (isNack(error)) settle(entry, NACKED) // that of a channel which closes is settled by `onClosed`, which knows why
        })
      } catch (error) {
        settle(entry, session.isOpen && channel === open ? { status: 'refused', reason: shortOf(error) } : NOT_SENT)
      }
    })
  }

  async function sendWhenOpen(route: Route, body: Uint8Array, properties: Options.Publish): Promise<PublishOutcome> {
    while (inFlight.size >= MAX_UNCONFIRMED && session.isOpen) await new Promise<void>((next) => waiting.push(next))
    const open = channel ?? (await opening)
    return open === undefined || !session.isOpen ? NOT_SENT : send(open, route, body, properties)
  }

  function publish(route: Route, body: Uint8Array, properties: Options.Publish): Promise<PublishOutcome> {
    if (body.length > maxBytes) return Promise.resolve(tooLarge())
    if (channel === undefined || !session.isOpen || inFlight.size >= MAX_UNCONFIRMED)
      return sendWhenOpen(route, body, properties)
    return send(channel, route, body, properties)
  }

  return { publish }
}

const STORED: PublishOutcome = Object.freeze({ status: 'stored' })
const NOT_SENT: PublishOutcome = Object.freeze({ status: 'notSent' })
const UNROUTABLE: PublishOutcome = Object.freeze({ status: 'unroutable', reason: 'no such queue' })
/**
 * A quorum queue says it while it has no leader, too, and it does not prove that the message is not stored: so the core tries
 * again, as for any outcome that nobody knows.
 */
const NACKED: PublishOutcome = Object.freeze({
  status: 'unknown',
  reason: 'the server did not accept it (basic.nack)',
})

function isNack(error: unknown): boolean {
  return error instanceof Error && error.message === 'message nacked' // amqplib has no code for it
}

function unreachable(): void {}
