import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dialLines, portOf, serveLines } from './lines.ts'
import type { BenchClient, BenchWorker, Payload, Place, Subject } from './subject.ts'

// What the machine does with no broker at all: one JSON line per call and per reply over TCP on the loopback. Nothing is
// durable; a call is lost with its worker.

export const tcpReference: Subject = { startClient, startWorker }

async function startWorker({ dir }: Place): Promise<BenchWorker> {
  const server = await serveLines(0, (line, from) => from.send(JSON.stringify(JSON.parse(line) as Payload)))
  await writeFile(join(dir, 'port'), String(portOf(server)))
  return {
    handled: () => Promise.reject(new Error('there is no queue')),
    close: async () => void server.close(),
  }
}

async function startClient({ dir }: Place): Promise<BenchClient> {
  const pending = new Map<number, (payload: Payload) => void>()
  const lines = await dialLines(Number(await readFile(join(dir, 'port'), 'utf8')), (line) => {
    const payload = JSON.parse(line) as Payload
    pending.get(payload.id)?.(payload)
    pending.delete(payload.id)
  })
  return {
    call: (payload) =>
      new Promise((resolve) => {
        pending.set(payload.id, resolve)
        lines.send(JSON.stringify(payload))
      }),
    send: () => Promise.reject(new Error('there is no queue')),
    close: async () => lines.close(),
  }
}
