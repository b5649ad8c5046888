import type { Codec } from '../protocol/codec.ts'
import { newCallId } from '../protocol/ids.ts'
import type { ScheduledTimer } from '../protocol/timer-wheel.ts'
import { MAX_CHUNK_BYTES, MAX_CHUNK_ITEMS, MAX_UNREAD_BYTES, MAX_UNREAD_CHUNKS } from '../protocol/stream.ts'
import type { HeldCall, RunOfStream } from './held-calls.ts'
import { chunkReply } from './replies.ts'
import type { WorkerParts } from './worker-parts.ts'

/** The items of one run on their way to the reader, in chunks, as many as the reader has room for. */
export interface ChunkWriter {
  /** One encoded list of one item. Resolves when another one may be taken; rejects when nobody reads. */
  write(item: Uint8Array): Promise<void> | undefined
  /** Resolves when all that was written is stored, or nobody is there any more. */
  finish(): Promise<void>
  /** Forgets what was not sent. */
  close(): void
}

export interface ChunkWriterOptions {
  readonly codec: Codec
  readonly parts: WorkerParts
  /** How long the reader may say nothing while it is waited for. */
  readonly silenceMs: number
  /** The reader is gone. */
  readonly onAbandoned: (why: string) => void
}

export function createChunkWriter(
  call: HeldCall,
  { codec, parts, silenceMs, onAbandoned }: ChunkWriterOptions,
): ChunkWriter {
  const { clock } = parts.core
  const stream: RunOfStream = { run: newCallId(), silenceMs, chunks: 0, abandoned: undefined }
  call.stream = stream
  const gathered: Uint8Array[] = []
  let gatheredBytes = 0
  /** Bytes of each chunk that the reader has not taken, the oldest first. */
  const unread: number[] = []
  let unreadBytes = 0
  let taken = 0
  let flushDue: NodeJS.Immediate | undefined
  let wake: (() => void) | undefined
  let isAbandoned = false
  let silence: ScheduledTimer | undefined
  const sending = new Set<Promise<void>>()
  const stopListening = parts.grants.listen(stream.run, onGrant)

  function flush(): void {
    clearImmediate(flushDue)
    flushDue = undefined
    if (gathered.length === 0) return
    const body = codec.join(gathered.splice(0))
    gatheredBytes = 0
    unread.push(body.length)
    unreadBytes += body.length
    const sent = send(body, stream.chunks++).finally(() => sending.delete(sent))
    sending.add(sent)
  }
  async function send(body: Uint8Array, sequence: number): Promise<void> {
    const reply = chunkReply(call, parts, { body, sequence })
    const giveUpAt = clock.monotonic() + silenceMs
    const fate = await parts.outbox.send(call.replyAddress ?? '', reply, {
      deadlineAt: giveUpAt,
      giveUpAt,
      isWanted: () => !call.delivery.isLost && !isAbandoned,
    })
    if (fate === 'gone') abandon('its inbox is gone')
    if (fate === 'tooLarge') abandon(`the broker takes no chunk of ${body.length} bytes`)
    if (fate === 'tooLate') abandon(`the broker stored nothing for ${silenceMs} ms`)
  }
  function hasRoom(): boolean {
    return unread.length < MAX_UNREAD_CHUNKS && unreadBytes < MAX_UNREAD_BYTES
  }
  function waitForRoom(): Promise<void> | undefined {
    flush()
    if (isAbandoned) return undefined
    watchSilence()
    return new Promise((resolve) => {
      wake = () => {
        wake = undefined
        silence?.cancel()
        resolve()
      }
    })
  }
  /** Each grant begins it anew: a slow reader repeats itself, a dead one does not. */
  function watchSilence(): void {
    silence?.cancel()
    silence = parts.wheel.schedule(clock.monotonic() + silenceMs, () =>
      abandon(`the reader said nothing for ${silenceMs} ms`),
    )
  }
  function onGrant(count: number): void {
    while (taken < Math.min(count, stream.chunks)) {
      unreadBytes -= unread.shift() ?? 0
      taken++
    }
    if (wake === undefined) return
    if (hasRoom()) wake()
    else watchSilence()
  }
  function abandon(why: string): void {
    if (isAbandoned) return
    isAbandoned = true
    stream.abandoned = why
    onAbandoned(why)
    wake?.()
  }

  return {
    write(item) {
      const bytes = item.length - 1
      if (gathered.length > 0 && gatheredBytes + bytes > MAX_CHUNK_BYTES) flush()
      gathered.push(item)
      gatheredBytes += bytes
      if (gathered.length >= MAX_CHUNK_ITEMS || gatheredBytes >= MAX_CHUNK_BYTES) flush()
      else flushDue ??= setImmediate(flush)
      return hasRoom() ? undefined : waitForRoom()
    },
    async finish() {
      flush()
      await Promise.all(sending)
    },
    close() {
      isAbandoned = true
      clearImmediate(flushDue)
      silence?.cancel()
      stopListening()
      wake?.()
    },
  }
}
