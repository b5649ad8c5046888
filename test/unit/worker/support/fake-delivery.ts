import type { BrokerAdapter, DeadLetterReason, Delivery } from '../../../../broker-adapters/adapter.ts'
import { cborCodec } from '../../../../protocol/codec-cbor.ts'
import { HEADER } from '../../../../protocol/headers.ts'
import { HOST_ID } from '../../../../protocol/host-id.ts'
import { newCallId } from '../../../../protocol/ids.ts'
import type { Message } from '../../../../protocol/message.ts'

/** A delivery whose every settlement is written down, in the order of `journal`. */
export interface FakeDelivery extends Delivery {
  readonly settlements: string[]
  lose(): void
}

export function fakeDelivery(
  message: Message,
  {
    journal = [],
    redelivered = false,
    handBacks = redelivered ? 1 : 0,
    onRetry,
  }: {
    journal?: string[]
    redelivered?: boolean
    handBacks?: number
    /** Before the broker says that it has stored the copy. */
    onRetry?: (headers: Readonly<Record<string, string>>) => void
  } = {},
): FakeDelivery {
  const settlements: string[] = []
  let isLost = false
  let onLost: (() => void) | undefined
  const settle = (what: string): void => {
    settlements.push(what)
    journal.push(what)
  }
  return {
    message,
    redelivered,
    handBacks,
    fence: undefined,
    settlements,
    get isLost() {
      return isLost
    },
    onLost(listener) {
      onLost = listener
      if (isLost) listener()
    },
    lose() {
      isLost = true
      onLost?.()
    },
    ack: () => settle('ack'),
    release: () => settle('release'),
    async retry({ delayMs, headers }) {
      onRetry?.(headers)
      settle(`retry ${delayMs > 0 ? 'later' : 'now'} as ${headers[HEADER.attempt]}`)
    },
    async deadLetter(why: DeadLetterReason) {
      settle(`deadLetter ${why.code}`)
    },
  }
}

export function fakeMessage(method: string, more: Partial<Message> = {}): Message {
  return {
    id: newCallId(),
    type: 'call',
    replyTo: 'replyto.in.fake',
    contentType: 'application/cbor',
    contentEncoding: undefined,
    body: cborCodec.encode(undefined),
    ...more,
    headers: {
      [HEADER.method]: method,
      [HEADER.host]: HOST_ID,
      ...(more.type === 'send' ? {} : { [HEADER.deadline]: String(Date.now() + 20_000) }),
      ...more.headers,
    },
  }
}

/** Replaces what a broker hands over: the test does it. Replies have the fate that `reply` says. */
export function handFed(reply: BrokerAdapter['reply'] = async (_address, replies) => replies.map(() => 'stored')): {
  readonly bend: (adapter: BrokerAdapter) => BrokerAdapter
  hand(delivery: Delivery): void
  readonly paused: boolean[]
} {
  let onDelivery: ((delivery: Delivery) => void) | undefined
  const paused: boolean[] = []
  return {
    paused,
    hand: (delivery) => onDelivery?.(delivery),
    bend: (adapter) => ({
      ...adapter,
      reply,
      async consume(_queue, _options, listener) {
        onDelivery = listener
        return {
          pause: async () => void paused.push(true),
          resume: () => void paused.push(false),
          isStarved: async () => false,
          isQueuePaused: async () => false,
          stop: async () => {},
        }
      },
    }),
  }
}
