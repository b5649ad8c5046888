import type { BrokerCore } from '../broker-adapters/broker.ts'
import type { ClockTimer } from '../protocol/clock.ts'
import { CallError, messageOf, RemoteError } from '../protocol/errors.ts'
import { HEADER, WIRE_VERSION } from '../protocol/headers.ts'
import { isFinalReply, type Reply } from '../protocol/message.ts'
import { GRANT_REPEAT_MS, MAX_UNREAD_CHUNKS } from '../protocol/stream.ts'
import { detailsOf, failed, type CallState, type Settled } from './call-state.ts'
import { createChunkOrder, sequenceOf } from './chunk-order.ts'
import { readChunk, type ReadReplyOptions } from './read-reply.ts'

/** The items of one stream, from the replies that carry them to whoever reads. */
export interface StreamReader {
  /** How long either side may say nothing; set by `begin`. */
  readonly silenceMs: number
  /** What is read: these items, or what the client's middleware made of them. Replaced by that. */
  source: Promise<unknown> | undefined
  begin(state: CallState, silenceMs: number): void
  /** A reply for this call; `onFinal` gets the one that ends it, once all the chunks before it have come. */
  receive(reply: Reply, onFinal: (reply: Reply) => void): void
  /** The call has ended. What has come is read first, unless it was cancelled. */
  end(end: Settled): void
  /** One reader; leaving the loop early ends the stream. */
  readonly items: AsyncIterable<unknown>
  /** Nobody reads on: whoever waits for an item is let go, and the handler is told to end. */
  leave(): void
}

export interface StreamReaderOptions extends ReadReplyOptions {
  readonly core: BrokerCore
  /** The call has ended here; its worker need not go on. */
  readonly forget: (state: CallState) => void
  readonly cancel: (state: CallState, reason: string) => void
}

/** A grant leaves when so many chunks were taken since the last one, or nothing is left to take. */
const GRANT_EVERY = 8

export function createStreamReader({ core, forget, cancel, ...reading }: StreamReaderOptions): StreamReader {
  let call: { readonly state: CallState; readonly silenceMs: number } | undefined
  let run: { readonly id: string; readonly grantTo: string | undefined } | undefined
  const formerRuns = new Set<string>()
  /** Of that run. */
  let chunks = createChunkOrder()
  let hasRead = false
  let isReading = false
  let isLeft = false
  let silence: ClockTimer | undefined
  let taken = 0
  let granted = 0
  let ended: Settled | undefined
  let wake: (() => void) | undefined
  const items = read()

  return {
    get silenceMs() {
      return call?.silenceMs ?? 0
    },
    source: undefined,
    begin(state, silenceMs) {
      call = { state, silenceMs }
    },
    receive,
    end(end) {
      ended = end
      silence?.cancel()
      if (call?.state.cancelled !== undefined) chunks.drop()
      wake?.()
    },
    items,
    leave,
  }

  function receive(reply: Reply, onFinal: (reply: Reply) => void): void {
    const id = reply.headers[HEADER.run]
    if (id === undefined && isFinalReply(reply.type)) return refused(reply, onFinal)
    if (id === undefined || formerRuns.has(id)) return
    if (run?.id !== id && !changeRun(id, reply)) return
    if (reply.type === 'chunk') addChunk(reply)
    else if (isFinalReply(reply.type)) chunks.addFinal(reply)
    if (!isReading) watchSilence()
    const final = chunks.takeFinal()
    if (final !== undefined) onFinal(final)
    wake?.()
  }

  /** It never began; or a worker that got it later does not begin it anew, and the run that was read is lost. */
  function refused(reply: Reply, onFinal: (reply: Reply) => void): void {
    if (!hasRead || begun().state.cancelled !== undefined) onFinal(reply)
    else failAsCrashed('its worker was lost in the middle, and no other one runs it again')
  }

  /** Its worker died, or was given up, and another one begins anew. False: too late, something was read. */
  function changeRun(id: string, { headers }: Reply): boolean {
    if (hasRead) {
      failAsCrashed('its worker was lost in the middle, and what a second run yields need not fit to what was read')
      return false
    }
    if (run === undefined)
      begun().state.timer?.cancel() // the deadline is that of the start; now silence ends it
    else formerRuns.add(run.id)
    run = { id, grantTo: ownAddress(headers[HEADER.grantTo]) }
    chunks = createChunkOrder()
    taken = granted = 0
    return true
  }

  /** What its worker sends without a grant is not kept. */
  function addChunk(chunk: Reply): void {
    const sequence = sequenceOf(chunk)
    if (sequence < taken + 2 * MAX_UNREAD_CHUNKS) return chunks.add(chunk)
    const text = `its worker sent chunk ${sequence} when ${taken} had been taken`
    fail(new RemoteError('INVALID_MESSAGE', text, detailsOf(begun().state)))
  }

  async function* read(): AsyncGenerator<unknown> {
    isReading = true
    const repeatMs = Math.min(GRANT_REPEAT_MS, Math.ceil(begun().silenceMs / 3)) // it is not to be taken for gone
    let repeating = core.clock.after(repeatMs, repeat)
    function repeat(): void {
      grant()
      repeating = core.clock.after(repeatMs, repeat)
    }
    try {
      while (!isLeft) {
        const chunk = chunks.take()
        if (chunk !== undefined) {
          hasRead = true
          yield* await decoded(chunk)
          take()
        } else if (ended === undefined) await nextEvent()
        else if (ended.status === 'error') throw ended.error
        else return
      }
    } finally {
      repeating.cancel()
      leave()
    }
  }

  function leave(): void {
    isLeft = true
    wake?.()
    if (ended === undefined && call !== undefined) cancel(call.state, 'its reader left')
  }

  async function decoded(chunk: Reply): Promise<readonly unknown[]> {
    const read = await readChunk(begun().state, chunk, reading)
    if (!('error' in read)) return read.items
    fail(read.error)
    throw read.error
  }

  /** Something came, or it ended, or nobody reads on. */
  function nextEvent(): Promise<void> {
    watchSilence()
    return new Promise((resolve) => {
      wake = () => {
        wake = undefined
        resolve()
      }
    })
  }

  /**
   * Nothing for too long ends it, while an item is waited for. While nobody reads yet the worker may wait for a grant, and
   * ends it itself: only one that is lost does not. Before its start the deadline of the call does all that.
   */
  function watchSilence(): void {
    const { silenceMs, state } = begun()
    const waitMs = isReading ? silenceMs : Math.min(2 * silenceMs, MAX_WAIT_MS)
    silence?.cancel()
    silence = core.clock.after(waitMs, () => {
      if (run === undefined || (isReading && wake === undefined)) return
      const gap = chunks.missing === undefined ? '' : `; chunk ${chunks.missing} is missing`
      fail(new CallError('TIMEOUT', `its worker said nothing for ${waitMs} ms${gap}`, detailsOf(state)))
    })
  }

  function take(): void {
    taken++
    if (!chunks.hasNext || taken - granted >= GRANT_EVERY) grant()
  }

  /** Best effort: it is said again. */
  function grant(): void {
    if (run?.grantTo === undefined || ended !== undefined) return
    granted = taken
    const headers = { [HEADER.version]: WIRE_VERSION, [HEADER.run]: run.id, [HEADER.sequence]: String(taken) }
    const reply: Reply = {
      correlationId: begun().state.id,
      type: 'grant',
      contentType: 'application/octet-stream',
      contentEncoding: undefined,
      headers,
      body: NOTHING,
    }
    core.connected
      ?.reply(run.grantTo, [reply])
      .catch((error: unknown) => core.log('debug', 'GRANT', `a grant was not sent: ${messageOf(error)}`))
  }

  /** A client writes only to inboxes of its own namespace. */
  function ownAddress(address: string | undefined): string | undefined {
    return address?.startsWith(`${core.namespace}.`) === true ? address : undefined
  }

  function failAsCrashed(text: string): void {
    fail(new RemoteError('CRASHED', text, detailsOf(begun().state)))
  }

  function fail(error: Error): void {
    const { state } = begun()
    if (state.end !== undefined) return
    state.settle(failed(error))
    forget(state)
  }

  function begun(): { readonly state: CallState; readonly silenceMs: number } {
    if (call === undefined) throw new Error('a stream is read before it was begun')
    return call
  }
}

/** Of a timer. */
const MAX_WAIT_MS = 2_147_483_647
const NOTHING = new Uint8Array(0)
