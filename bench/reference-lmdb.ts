import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Decoder, Encoder } from 'cbor-x'
import { open, type RootDatabase } from 'lmdb'
import { dialLines, serveLines, type Lines } from './lines.ts'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// The least that a durable queue on a directory can do: the client commits requests to LMDB (fsync in each group commit),
// then wakes the worker over a local socket; the worker reads, handles, answers over the socket and removes the row. No
// hub, no leases, no retry, no dead letters, one worker.

type Store = RootDatabase<Buffer, number>

export const lmdbReference: Subject = { startClient, startWorker }

const encoder = new Encoder({ useRecords: false, tagUint8Array: false })
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true })
const socketPath = (dir: string): string => join(dir, 's')

function openStore(dir: string): Store {
  return open<Buffer, number>({
    path: join(dir, 'reference'),
    overlappingSync: false,
    encoding: 'binary',
    keyEncoding: 'uint32',
  })
}

async function startClient({ dir }: Place): Promise<BenchClient> {
  const store = openStore(dir)
  const pending = new Map<number, (payload: Payload) => void>()
  let lines: Lines | undefined
  let committed: number[] = []

  const onReply = (line: string): void => {
    const payload = decoder.decode(Buffer.from(line, 'base64')) as Payload
    pending.get(payload.id)?.(payload)
    pending.delete(payload.id)
  }
  // all that one commit made durable goes in one line
  const wake = (id: number): void => {
    if (committed.push(id) > 1) return
    queueMicrotask(() => {
      lines?.send(committed.join(' '))
      committed = []
    })
  }
  return {
    async call(payload) {
      lines ??= await dialLines(socketPath(dir), onReply)
      const reply = new Promise<Payload>((resolve) => pending.set(payload.id, resolve))
      await store.put(payload.id, encoder.encode(payload))
      wake(payload.id)
      return reply
    },
    send: async (payload) => void (await store.put(payload.id, encoder.encode(payload))),
    async close() {
      lines?.close()
      await store.close()
    },
  }
}

/** What is in the store at the start is drained first, as after a crash. */
async function startWorker({ dir }: Place): Promise<BenchWorker> {
  const store = openStore(dir)
  const handled = countHandled()
  const server = await serveLines(socketPath(dir), (line, from) => {
    store.resetReadTxn() // what was committed since is not in an older snapshot
    for (const word of line.split(' ')) {
      const id = Number(word)
      const row = store.getBinary(id)
      if (row === undefined) throw new Error(`request ${id} is not in the store`)
      from.send(encoder.encode(decoder.decode(row)).toString('base64'))
      void store.remove(id)
    }
  })
  const drained = drain(store, (count) => handled.add(count))
  return {
    handled: (count) => Promise.race([handled.reached(count), drained.then(() => handled.reached(count))]),
    async close() {
      server.close()
      await store.close()
    },
  }
}

async function drain(store: Store, onHandled: (count: number) => void): Promise<void> {
  let after = -1
  for (;;) {
    let last: Promise<boolean> | undefined
    let count = 0
    store.resetReadTxn()
    for (const { key, value } of store.getRange({ start: after + 1, limit: DRAIN_AT_ONCE })) {
      decoder.decode(value)
      last = store.remove(key)
      after = key
      count++
    }
    if (last === undefined) return
    void last.then(() => onHandled(count))
    await setImmediate()
  }
}

const DRAIN_AT_ONCE = 1_000
