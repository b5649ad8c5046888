import { setTimeout as sleep } from 'node:timers/promises'
import { CallError, createClient, createWorker, defineService, method, type } from 'replyto'

// One process of the soak. argv: 'worker' | 'client', URL. Messages: { calls } makes so many and answers what became of them
// and what the heap holds; without `calls` only the latter.

const OUTSTANDING = 256
const TIMEOUT_MS = 100

const service = defineService('soak', {
  methods: {
    echo: method({ input: type<{ n: number; text: string }>(), output: type<{ n: number; text: string }>() }),
    hang: method({ input: type<number>(), output: type<number>(), timeoutMs: TIMEOUT_MS }),
  },
})

const [role = '', broker = ''] = process.argv.slice(2)
const makeCalls = role === 'client' ? startClient() : undefined
if (role === 'worker') await startWorker()

process.on('disconnect', () => process.exit())
process.on('message', ({ calls }: { readonly calls?: number }) => {
  void (async () => {
    const made = calls === undefined ? {} : await makeCalls?.(calls)
    await sleep(200) // what is on its way has gone
    globalThis.gc?.()
    globalThis.gc?.() // what the first one's finalizers let go
    process.send?.({ ...made, heap: process.memoryUsage().heapUsed })
  })()
})

async function startWorker(): Promise<void> {
  const worker = createWorker(broker, { concurrency: OUTSTANDING })
  worker.serve(service, {
    echo: (input) => input,
    // Longer than its caller waits, and a moment longer than its signal allows.
    hang: (n, { signal }) => sleep(10 * TIMEOUT_MS, n, { signal }).catch(() => sleep(50, n)),
  })
  await worker.start()
}

function startClient(): (count: number) => Promise<{ timedOut: number; failed: number }> {
  const stub = createClient(broker).service(service)
  let made = 0
  return async (count) => {
    const ends = { timedOut: 0, failed: 0 }
    const until = made + count
    const caller = async (): Promise<void> => {
      while (made < until) {
        const n = made++
        try {
          await (n % 10 === 0 ? stub.hang(n) : stub.echo({ n, text: `call number ${n}` }))
        } catch (error) {
          if (error instanceof CallError && error.code === 'TIMEOUT') ends.timedOut++
          else ends.failed++
        }
      }
    }
    await Promise.all(Array.from({ length: OUTSTANDING }, caller))
    return ends
  }
}
