import { replayOf } from '../../protocol/headers.ts'
import type { QueueRef } from '../../protocol/message.ts'
import { nextGeneration } from '../../protocol/replay.ts'
import type { LetterFilter } from '../adapter.ts'
import { encodeMessage, readMessage } from './envelope.ts'
import type { GroupCommit } from './group-commit.ts'
import type { HubMessages } from './hub-messages.ts'
import type { Entry, HubQueue, Letter } from './hub-queue.ts'
import { placingOf } from './placing.ts'
import { decodeLetterRecord, encodeLetterRecord, type LetterJson } from './records.ts'
import type { Store } from './store.ts'
import { fieldsOf, type FrameWriter } from './wire.ts'

/** The dead letters of all queues. */
export interface HubLetters {
  /** Begins to store it; one per id, the last one wins. It is among the letters after the commit. */
  add(queue: HubQueue, json: LetterJson, blob: Uint8Array): void
  load(queue: HubQueue, sequence: number, record: Buffer): void
  /** Writes one page: u32 n · n × (str id · num at · str code · str reason · u32 attempts · bytes blob) · num next. */
  writePage(writer: FrameWriter, queue: HubQueue, filter: LetterFilter, after: number): void
  /** Begins to remove what fits; how many. */
  purge(queue: HubQueue, filter: LetterFilter): number
  /** Makes messages of what fits now, slice by slice; a letter goes in the transaction that stores its message. */
  replay(queue: HubQueue, options: ReplayOptions): void
}

export interface ReplayOptions {
  readonly filter: LetterFilter
  readonly features: Pick<QueueRef['features'], 'keyed' | 'priority'>
  readonly onDone: (count: number) => void
}

const PAGE_LETTERS = 100
const PAGE_BYTES = 4 * 1024 * 1024
const SLICE_LETTERS = 500

export function createHubLetters(options: {
  readonly store: Store
  readonly commit: GroupCommit
  readonly nextSequence: () => number
  readonly now: () => number
  readonly messages: Pick<HubMessages, 'add' | 'place' | 'addBytes'>
}): HubLetters {
  const { store, commit, messages } = options

  function remove(queue: HubQueue, letter: Letter): void {
    commit.remove('letters', letter.sequence)
    messages.addBytes(-letter.bytes)
    if (queue.letters.get(letter.id) === letter) queue.letters.delete(letter.id)
  }
  /** Undefined: it is gone meanwhile, or its message is in the queue still or again, so it is not over: the letter stays. */
  function replayOne(queue: HubQueue, letter: Letter, features: ReplayOptions['features']): Entry | undefined {
    const record = queue.letters.get(letter.id) === letter ? store.read('letters', letter.sequence) : undefined
    if (record === undefined) return undefined
    const message = nextGeneration(readMessage(letter.id, fieldsOf(decodeLetterRecord(record).blob)))
    const entry = messages.add(queue, {
      id: letter.id,
      generation: String(replayOf(message.headers)),
      dueAt: 0,
      expiresAt: 0,
      placing: placingOf(features, message.headers),
      blob: encodeMessage(message),
      isReplay: true,
    })
    if (entry !== undefined) remove(queue, letter)
    return entry
  }
  function fits(letter: Letter, filter: LetterFilter): boolean {
    if (filter.id !== undefined && letter.id !== filter.id) return false
    if (filter.code !== undefined && letter.code !== filter.code) return false
    if (filter.olderThanMs !== undefined && options.now() - letter.at < filter.olderThanMs) return false
    if (filter.method === undefined) return true
    const record = store.read('letters', letter.sequence)
    if (record === undefined) return false
    return readMessage(letter.id, fieldsOf(decodeLetterRecord(record).blob)).headers['rt-method'] === filter.method
  }

  return {
    add(queue, json, blob) {
      const sequence = options.nextSequence()
      const record = encodeLetterRecord(json, blob)
      commit.put('letters', sequence, record)
      messages.addBytes(record.length)
      const letter = { sequence, id: json.id, at: json.at, code: json.code, bytes: record.length }
      commit.afterwards(() => {
        const earlier = queue.letters.get(letter.id)
        if (earlier !== undefined) remove(queue, earlier)
        queue.letters.set(letter.id, letter)
      })
    },
    load(queue, sequence, record) {
      const { json } = decodeLetterRecord(record)
      const earlier = queue.letters.get(json.id)
      if (earlier !== undefined) remove(queue, earlier)
      messages.addBytes(record.length)
      queue.letters.set(json.id, { sequence, id: json.id, at: json.at, code: json.code, bytes: record.length })
    },
    writePage(writer, queue, filter, after) {
      const page: { readonly record: Buffer; readonly sequence: number }[] = []
      let bytes = 0
      let next = 0
      for (const letter of queue.letters.values()) {
        if (letter.sequence <= after || !fits(letter, filter)) continue
        if (page.length >= PAGE_LETTERS || bytes >= PAGE_BYTES) {
          next = page.at(-1)?.sequence ?? 0
          break
        }
        const record = store.read('letters', letter.sequence)
        if (record === undefined) continue
        page.push({ record, sequence: letter.sequence })
        bytes += record.length
      }
      writer.u32(page.length)
      for (const { record } of page) {
        const { json, blob } = decodeLetterRecord(record)
        writer.str(json.id).num(json.at).str(json.code).str(json.reason).u32(json.attempts).bytes(blob)
      }
      writer.num(next)
    },
    replay(queue, { filter, features, onDone }) {
      const found = [...queue.letters.values()].filter((letter) => fits(letter, filter))
      let next = 0
      let count = 0
      takeSlice()

      function takeSlice(): void {
        const slice: Entry[] = []
        let bytes = 0
        while (next < found.length && slice.length < SLICE_LETTERS && bytes < PAGE_BYTES) {
          const letter = found[next++]
          const entry = letter === undefined ? undefined : replayOne(queue, letter, features)
          if (entry === undefined) continue
          slice.push(entry)
          bytes += entry.bytes
        }
        count += slice.length
        commit.afterwards(() => {
          for (const entry of slice) messages.place(entry)
          if (next < found.length) takeSlice()
          else onDone(count)
        })
      }
    },
    purge(queue, filter) {
      const purged = [...queue.letters.values()].filter((letter) => fits(letter, filter))
      for (const letter of purged) remove(queue, letter)
      return purged.length
    },
  }
}
