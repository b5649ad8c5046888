import { Redis } from 'ioredis'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// Request and reply as one would write them by hand over streams: a stream of requests with a group of consumers, a stream of
// replies for the client, each entry acked and deleted after its reply is stored. No deadlines, retries, recovery or reconnects.

const AT_ONCE = 1_000
const GROUP = 'workers'

export const redisStreamsReference: Subject = { startClient, startWorker }

type Entries = readonly (readonly [stream: string, entries: readonly (readonly [id: string, fields: string[]])[]])[]

function open({ broker }: Place): { readonly commands: Redis; readonly blocking: Redis; close(): void } {
  const commands = new Redis(broker, { enableAutoPipelining: true })
  const blocking = new Redis(broker, { maxRetriesPerRequest: null })
  let isClosing = false
  for (const connection of [commands, blocking])
    connection.on('error', (error) => {
      if (!isClosing) throw error
    })
  return {
    commands,
    blocking,
    close() {
      isClosing = true
      commands.disconnect()
      blocking.disconnect()
    },
  }
}

const requestsOf = ({ namespace }: Place): string => `${namespace}.requests`

async function startClient(place: Place): Promise<BenchClient> {
  const connections = open(place)
  const { commands, blocking } = connections
  const requests = requestsOf(place)
  const replies = `${place.namespace}.replies`
  const pending = new Map<string, (payload: Payload) => void>()
  await makeGroup(commands, requests)
  void readReplies()
  return {
    call: (payload) =>
      new Promise((resolve, reject) => {
        pending.set(String(payload.id), resolve)
        commands
          .xadd(requests, '*', 'id', payload.id, 'to', replies, 'body', JSON.stringify(payload))
          .catch((error: unknown) => reject(error instanceof Error ? error : new Error(String(error))))
      }),
    send: async (payload) =>
      void (await commands.xadd(requests, '*', 'id', payload.id, 'body', JSON.stringify(payload))),
    async close() {
      await commands.del(replies, requests)
      connections.close()
    },
  }

  async function readReplies(): Promise<void> {
    for (let last = '0'; ;) {
      const found = await blocking.xread('COUNT', AT_ONCE, 'BLOCK', 0, 'STREAMS', replies, last).catch(() => undefined)
      if (found === undefined) return // it is closed
      for (const [id, [, correlation, , body]] of (found as Entries | null)?.[0]?.[1] ?? []) {
        last = id
        pending.get(correlation ?? '')?.(JSON.parse(body ?? '') as Payload) // written by the worker
        pending.delete(correlation ?? '')
        commands.xdel(replies, id).catch(() => {})
      }
    }
  }
}

async function startWorker(place: Place): Promise<BenchWorker> {
  const connections = open(place)
  const { commands, blocking } = connections
  const requests = requestsOf(place)
  const handled = countHandled()
  await makeGroup(commands, requests)
  void work()
  return { handled: (count) => handled.reached(count), close: () => Promise.resolve(connections.close()) }

  async function work(): Promise<void> {
    for (;;) {
      const found = await blocking
        .xreadgroup('GROUP', GROUP, 'one', 'COUNT', AT_ONCE, 'BLOCK', 0, 'STREAMS', requests, '>')
        .catch(() => undefined)
      if (found === undefined) return // it is closed
      for (const [id, fields] of (found as Entries | null)?.[0]?.[1] ?? []) answer(id, fields).catch(() => {})
    }
  }

  async function answer(id: string, [, correlation = '', name, to = '', , body = '']: string[]): Promise<void> {
    if (name === 'to') await commands.xadd(to, '*', 'id', correlation, 'body', JSON.stringify(JSON.parse(body)))
    await Promise.all([commands.xack(requests, GROUP, id), commands.xdel(requests, id)])
    handled.add(1)
  }
}

/** Whoever is first makes it. */
async function makeGroup(commands: Redis, stream: string): Promise<void> {
  try {
    await commands.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM')
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error
  }
}
