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
  readonly size: number
  isReturned: boolean
  readonly settle: (outcome: PublishOutcome) => void
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
  /** By route and message id: a return names nothing else. */
  const byName = new Map<string, InFlight[]>()
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
    for (const entry of inFlight) entry.settle(entry.size > maxBytes ? tooLarge() : { status: 'unknown', reason })
  }

  function failAll(outcome: PublishOutcome): void {
    for (const entry of inFlight) entry.settle(outcome)
    for (const next of waiting.splice(0)) next()
  }

  function onReturn({ fields, properties }: RawMessage): void {
    const entries = byName.get(nameOf(fields.routingKey, properties.messageId))
    const entry = entries?.find(({ isReturned }) => !isReturned)
    if (entry !== undefined) entry.isReturned = true
  }

  function tooLarge(): PublishOutcome {
    return { status: 'tooLarge', reason: `it takes ${maxBytes} bytes at most` }
  }

  /** The server returns what it cannot route before it confirms it. */
  function register(
    name: string,
    size: number,
  ): { readonly entry: InFlight; readonly outcome: Promise<PublishOutcome> } {
    let resolve: (outcome: PublishOutcome) => void = unreachable
    const outcome = new Promise<PublishOutcome>((settled) => (resolve = settled))
    const entry: InFlight = {
      size,
      isReturned: false,
      settle(result) {
        if (!inFlight.delete(entry)) return
        forget(name, entry)
        waiting.shift()?.()
        resolve(result)
      },
    }
    inFlight.add(entry)
    const others = byName.get(name)
    if (others === undefined) byName.set(name, [entry])
    else others.push(entry)
    return { entry, outcome }
  }

  function forget(name: string, entry: InFlight): void {
    const entries = byName.get(name)
    if (entries === undefined) return
    if (entries.length === 1) byName.delete(name)
    else entries.splice(entries.indexOf(entry), 1)
  }

  async function publish(
    { exchange = '', key }: Route,
    body: Uint8Array,
    properties: Options.Publish,
  ): Promise<PublishOutcome> {
    if (body.length > maxBytes) return tooLarge()
    while (inFlight.size >= MAX_UNCONFIRMED && session.isOpen) await new Promise<void>((next) => waiting.push(next))
    const open = channel ?? (await opening)
    if (open === undefined || !session.isOpen) return NOT_SENT
    const { entry, outcome } = register(nameOf(key, properties.messageId), body.length)
    try {
      open.publish(exchange, key, toBuffer(body), properties, (error: unknown) => {
        if (error === null || error === undefined) entry.settle(entry.isReturned ? UNROUTABLE : STORED)
        else if (isNack(error)) entry.settle(REFUSED) // that of a channel which closes is settled by `onClosed`, which knows why
      })
    } catch (error) {
      entry.settle(session.isOpen && channel === open ? { status: 'refused', reason: shortOf(error) } : NOT_SENT)
    }
    return outcome
  }

  return { publish }
}

const STORED: PublishOutcome = Object.freeze({ status: 'stored' })
const NOT_SENT: PublishOutcome = Object.freeze({ status: 'notSent' })
const UNROUTABLE: PublishOutcome = Object.freeze({ status: 'unroutable', reason: 'no such queue' })
/** It does not prove that it is not stored: a member of the queue that fails may have it. */
const REFUSED: PublishOutcome = Object.freeze({
  status: 'refused',
  reason: 'the server did not accept it (basic.nack)',
})

function isNack(error: unknown): boolean {
  return error instanceof Error && error.message === 'message nacked' // amqplib has no code for it
}

function nameOf(key: string, messageId: unknown): string {
  return `${key}\n${String(messageId)}`
}

function unreachable(): void {}
