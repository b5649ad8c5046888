import type { ConsumeMessage, Options } from 'amqplib'
import { BrokerError } from '../../protocol/errors.ts'
import { replayOf } from '../../protocol/headers.ts'
import { isFinalReply, type Reply } from '../../protocol/message.ts'
import type { AdapterContext } from '../adapter.ts'
import { closeChannel, consumeAlone } from './alone.ts'
import { declareQueue } from './channels.ts'
import { isMissing } from './failures.ts'
import type { Connected } from './lane.ts'
import type { MailboxPlace } from '../mailbox-address.ts'
import { readReply } from './properties.ts'
import { keptShape } from './topology.ts'

// A mailbox is there while a message lives in its queue: a mark from its making, or an outcome. Each says as its expiration
// for how long. The queue itself says nothing: to ask for it renews it.

export interface MailboxContents {
  readonly keepMs: number
  /** Of the highest generation the first one. */
  readonly outcome: Reply | undefined
  /** The one who looks has made it. */
  readonly isOwn: boolean
}

export interface MailboxMaker {
  readonly keepMs: number
  /** So that a maker whose answer was lost knows its own mark. */
  readonly token: string
}

/** Undefined: there is none, and nobody makes it. Rejects as the server refuses, or with BROKER_UNAVAILABLE. */
export async function lookIntoMailbox(
  connected: Connected,
  name: string,
  { maker, log }: { readonly maker: MailboxMaker | undefined; readonly log: AdapterContext['log'] },
): Promise<MailboxContents | undefined> {
  for (;;) {
    try {
      return await lookAlone(connected, name, maker)
    } catch (error) {
      if (!isMissing(error)) throw error
      if (maker === undefined) return undefined
      await declareQueue(connected.session, keptShape(name, maker.keepMs), log)
    }
  }
}

/** While nobody else looks, so that of several makers one makes it. */
async function lookAlone(
  { session, publisher }: Connected,
  name: string,
  maker: MailboxMaker | undefined,
): Promise<MailboxContents | undefined> {
  const raws: ConsumeMessage[] = []
  const what = `reads the mailbox ${name}`
  const channel = await consumeAlone({ session, queue: name, what, onMessage: (raw) => raws.push(raw) })
  try {
    // Answered on the same channel, behind all that the queue had.
    await channel.checkQueue(name)
    const contents = contentsOf(raws, maker?.token)
    if (contents !== undefined || maker === undefined) return contents
    const { status, reason } = await publisher.publish({ key: name }, new Uint8Array(), markProperties(maker))
    if (status === 'stored') return { keepMs: maker.keepMs, outcome: undefined, isOwn: true }
    throw new BrokerError('BROKER_UNAVAILABLE', `a mailbox could not be made: ${reason ?? status}`)
  } finally {
    await closeChannel(channel)
  }
}

/** Undefined: nothing lives there. */
export function contentsOf(raws: readonly ConsumeMessage[], token: string | undefined): MailboxContents | undefined {
  const [first] = raws
  if (first === undefined) return undefined
  let outcome: Reply | undefined
  for (const raw of raws) {
    const reply = readReply(raw)
    if (reply === undefined || !isFinalReply(reply.type)) continue
    if (outcome === undefined || replayOf(reply.headers) > replayOf(outcome.headers)) outcome = reply
  }
  const isOwn = raws.some(({ properties }) => properties.type === MARK && properties.messageId === token)
  return { keepMs: Number(first.properties.expiration), outcome, isOwn }
}

/** Of what lives in a mailbox. */
export function keptProperties({ keepMs }: Pick<MailboxPlace, 'keepMs'>): Options.Publish {
  return { expiration: keepMs, deliveryMode: 2, mandatory: true }
}

function markProperties(maker: MailboxMaker): Options.Publish {
  return { ...keptProperties(maker), type: MARK, messageId: maker.token }
}

const MARK = 'kept'
