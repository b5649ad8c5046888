import type { LetterFilter } from '../adapter.ts'
import { readMessage } from './envelope.ts'
import type { GroupCommit } from './group-commit.ts'
import type { HubQueue, Letter } from './hub-queue.ts'
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
}

const PAGE_LETTERS = 100
const PAGE_BYTES = 4 * 1024 * 1024

export function createHubLetters(options: {
  readonly store: Store
  readonly commit: GroupCommit
  readonly nextSequence: () => number
  readonly now: () => number
  readonly addBytes: (bytes: number) => void
}): HubLetters {
  const { store, commit } = options

  function remove(queue: HubQueue, letter: Letter): void {
    commit.remove('letters', letter.sequence)
    options.addBytes(-letter.bytes)
    if (queue.letters.get(letter.id) === letter) queue.letters.delete(letter.id)
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
      options.addBytes(record.length)
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
      options.addBytes(record.length)
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
    purge(queue, filter) {
      const purged = [...queue.letters.values()].filter((letter) => fits(letter, filter))
      for (const letter of purged) remove(queue, letter)
      return purged.length
    },
  }
}
