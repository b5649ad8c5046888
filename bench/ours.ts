import { createClient, createWorker, defineService, method, type } from 'replyto'
import { countHandled, type BenchClient, type BenchWorker, type Payload, type Place, type Subject } from './subject.ts'

// The library as its users have it: defaults, but for a worker that runs as many calls at once as the heaviest load has
// outstanding, so that the worker's own limit is not what is measured.

const CONCURRENCY = 1_000

const bench = defineService('bench', {
  version: '1.0.0',
  methods: {
    echo: method({ input: type<Payload>(), output: type<Payload>(), timeoutMs: 20_000 }),
    store: method({ input: type<Payload>(), oneWay: true }),
  },
})

/** A queue of its own, so that the other one is as it was. */
const keyed = defineService('keyed', {
  version: '1.0.0',
  methods: { echo: method({ input: type<Payload>(), output: type<Payload>(), timeoutMs: 20_000, keyed: true }) },
})

/** Where the two services have their queues. */
export const QUEUES = [
  { name: 'default.bench.v1', keyed: false },
  { name: 'default.keyed.v1', keyed: true },
] as const

export const ours: Subject = { startClient, startWorker }

async function startClient({ broker, namespace }: Place): Promise<BenchClient> {
  const client = createClient(broker, { name: 'bench', namespace })
  await client.ready()
  const stub = client.service(bench)
  const keyedStub = client.service(keyed)
  return {
    call: (payload) => stub.echo(payload),
    publish(payload) {
      const call = stub.echo.start(payload)
      call.catch(() => {}) // what becomes of it is not asked
      return call.stored()
    },
    callKeyed: (payload, key) => keyedStub.echo(payload, { key }),
    send: async (payload) => void (await stub.store.send(payload)),
    close: () => client.close({ graceMs: 1_000 }),
  }
}

async function startWorker({ broker, namespace, isKeyed = false }: Place): Promise<BenchWorker> {
  const handled = countHandled()
  const worker = createWorker(broker, { name: 'bench', namespace, concurrency: CONCURRENCY })
  worker.serve(bench, {
    echo: (payload) => payload,
    store: () => handled.add(1),
  })
  if (isKeyed) worker.serve(keyed, { echo: (payload) => payload })
  await worker.start()
  return { handled: (count) => handled.reached(count), close: () => worker.close({ graceMs: 1_000 }) }
}
