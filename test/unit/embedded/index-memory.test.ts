import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test } from 'vitest'
import type { GroupCommit } from '../../../broker-adapters/embedded/group-commit.ts'
import { createHubMessages, type HubMessages, type NewMessage } from '../../../broker-adapters/embedded/hub-messages.ts'
import { PLAIN } from '../../../broker-adapters/embedded/placing.ts'
import { decodeMessageRecord, encodeMessageRecord } from '../../../broker-adapters/embedded/records.ts'
import { loadLmdb, openStore, type Store } from '../../../broker-adapters/embedded/store.ts'
import { newCallId } from '../../../protocol/ids.ts'

/** Just below a power of two, where the table of ids is full and none of it is waste. */
const MESSAGES = 65_000
/** An id of 36 characters included. */
const MOST_BYTES = 250
/** What V8 needs for the Buffer of a record, where it is kept in memory too; its bytes are outside of the heap. */
const BUFFER_BYTES = 110

setFlagsFromString('--expose-gc')
const collectGarbage: unknown = runInNewContext('gc')

function heapBytes(): number {
  if (typeof collectGarbage !== 'function') throw new Error('there is no gc() to call')
  collectGarbage()
  return process.memoryUsage().heapUsed
}

async function makeStore(): Promise<Store> {
  const path = mkdtempSync(join(tmpdir(), 'replyto-index-'))
  const gate = { enter: () => true, leave: () => undefined }
  const store = openStore(await loadLmdb(), { path, epoch: 1, durability: 'process', gate })
  onTestFinished(async () => {
    await store.close()
    rmSync(path, { recursive: true, force: true })
  })
  return store
}

/** One in a hundred waits for its time and expires: they must not make the others larger. */
function messageOf(index: number): NewMessage {
  const at = index % 100 === 0 ? Date.now() + 3_600_000 : 0
  return { id: newCallId(), generation: '', dueAt: at, expiresAt: at, placing: PLAIN, blob: new Uint8Array(20) }
}

function messagesOf(store: Store, nextSequence: () => number): HubMessages {
  const commit: GroupCommit = {
    put: () => undefined,
    remove: () => undefined,
    putName: () => undefined,
    afterwards: () => undefined,
    afterwardsSometime: () => undefined,
    pump: () => undefined,
    drain: () => Promise.resolve(),
    stop: () => undefined,
  }
  const journal = (): never => {
    throw new Error('nothing is handed out')
  }
  return createHubMessages({ store, commit, journal, nextSequence, now: Date.now, markWritten: () => undefined })
}

test(`a message that waits costs the hub at most ${MOST_BYTES} bytes of heap, new or found in the store`, async () => {
  const store = await makeStore()
  const writes = Array.from({ length: MESSAGES }, (_, index) => {
    const message = messageOf(index)
    return { table: 'messages', key: index + 1, value: encodeMessageRecord(1, message, message.blob) } as const
  })
  await store.commit(writes.splice(0))
  let sequence = 0
  const messages = messagesOf(store, () => ++sequence)
  const [found, fresh] = [messages.makeQueue('found', 1), messages.makeQueue('fresh', 2)]

  const empty = heapBytes()
  for (const { key, value } of store.scan('messages', 0, MESSAGES)) {
    const entry = messages.load(key, value, decodeMessageRecord(value), undefined)
    if (entry !== undefined) messages.place(entry)
    sequence = key
  }
  const loaded = heapBytes()
  for (let index = 0; index < MESSAGES; index++) {
    const entry = messages.add(fresh, messageOf(index))
    if (entry !== undefined) messages.place(entry)
  }
  const added = heapBytes()

  expect([found.readyCount + found.delayedCount, fresh.readyCount + fresh.delayedCount]).toEqual([MESSAGES, MESSAGES])
  expect((loaded - empty) / MESSAGES).toBeLessThan(MOST_BYTES)
  expect((added - loaded) / MESSAGES).toBeLessThan(MOST_BYTES + BUFFER_BYTES)
})
