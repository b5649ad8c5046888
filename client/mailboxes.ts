import type { Mailbox } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import { codecOf } from '../protocol/codec.ts'
import { BrokerError, CallError, ConfigError, messageOf } from '../protocol/errors.ts'
import { HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import type { Reply } from '../protocol/message.ts'
import { encodeWireError } from '../protocol/wire-errors.ts'
import { detailsOf, executedOf, failed, type CallState, type Kept } from './call-state.ts'
import { refusalFor } from './refusal.ts'

/** The mailboxes of kept calls and of those that this client is attached to, each open until its call has settled here. */
export interface Mailboxes {
  /** Makes that of a call or send, or finds the one that an earlier call with its id made; then it may be published. */
  make(state: CallState): void
  /** Reads that of a call which was made elsewhere; without one it ends as NOT_KEPT. */
  read(state: CallState): void
  /** A call that was cancelled may be in no worker, so that nobody answers it: whoever else reads is told here. */
  tellCancelled(state: CallState): void
  leave(state: CallState): void
}

export interface MailboxesOptions {
  readonly core: BrokerCore
  /** What was there already has been received. */
  readonly onMade: (state: CallState) => void
}

export function createMailboxes({ core, onMade }: MailboxesOptions): Mailboxes {
  return {
    make: (state) => whenOpen(state, onMade),
    read(state) {
      if (state.failFast && core.state !== 'up')
        return state.settle(
          failed(new BrokerError('BROKER_UNAVAILABLE', `${core.url} is ${core.state}`, detailsOf(state))),
        )
      whenOpen(state, onFound)
    },

    tellCancelled(state) {
      const { kept, evidence } = state
      if (kept?.mailbox === undefined || evidence !== undefined) return // not made, or answered
      void core.connected?.reply(kept.mailbox.address, [cancelledReply(state, kept)])
    },

    leave({ kept }) {
      if (kept?.mailbox !== undefined) close(kept.mailbox)
    },
  }

  /** What goes wrong ends the call. */
  function whenOpen(state: CallState, next: (state: CallState) => void): void {
    open(state)
      .then(() => state.end === undefined && next(state))
      .catch((error: unknown) => state.answer(failed(error instanceof ConfigError ? error : refusalFor(state, error))))
  }

  async function open(state: CallState): Promise<void> {
    const { kept } = state
    if (kept === undefined) return
    const adapter = await core.adapter
    const { maxKeepMs } = adapter.capabilities
    if ((kept.keepMs ?? 0) > maxKeepMs)
      throw new ConfigError(
        `keepMs is ${kept.keepMs}, and ${core.url} keeps an outcome for at most ${maxKeepMs} ms`,
        detailsOf(state),
      )
    const mailbox = await adapter.openMailbox(state.id, { createForMs: kept.createForMs }, (reply) =>
      state.onReply?.(reply),
    )
    if (state.end === undefined) kept.mailbox = mailbox
    else close(mailbox)
  }

  function onFound(state: CallState): void {
    if (state.kept?.mailbox?.isFound === false) {
      const text = `nothing is kept for ${state.id}: no call of this id was made with keepMs, or its time is over`
      return state.answer(failed(new CallError('NOT_KEPT', text, detailsOf(state))))
    }
    if (state.stage === 'outbox') state.stage = 'queued'
    state.onStage?.()
  }

  function close(mailbox: Mailbox): void {
    mailbox.close().catch((error: unknown) => core.log('debug', 'MAILBOX', `it was not closed: ${messageOf(error)}`))
  }
}

function cancelledReply(state: CallState, { encoding }: Kept): Reply {
  const codec = codecOf(encoding)
  return {
    correlationId: state.id,
    type: 'error',
    contentType: codec.contentType,
    contentEncoding: undefined,
    headers: {
      [HEADER.version]: WIRE_VERSION,
      [HEADER.service]: state.target.service,
      [HEADER.method]: state.target.method,
    },
    body: encodeWireError(
      {
        code: 'CANCELLED',
        message: `a caller cancelled: ${state.cancelled?.reason ?? 'no reason given'}`.toWellFormed(),
        executed: executedOf(state),
        retryable: false,
        attempts: Math.max(1, state.attempts),
      },
      codec,
    ),
  }
}
