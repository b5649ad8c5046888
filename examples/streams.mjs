// A stream of replies: `node examples/streams.mjs` after `npm run build`. The handler is a generator. It makes what its reader
// takes, a few dozen chunks ahead at most, so neither side's memory grows; when the reader leaves, the generator ends.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, createWorker, defineService, method, type } from 'replyto'

const numbers = defineService('numbers', {
  methods: {
    countdown: method({ input: type(), yields: type() }), // yields: the type of one item
    primes: method({ yields: type() }),
  },
})

const dir = mkdtempSync(join(tmpdir(), 'streams-'))
const broker = `file:${dir}`

const worker = createWorker(broker)
worker.serve(numbers, {
  async *countdown({ from }) {
    for (let n = from; n > 0; n--) yield n
  },
  async *primes() {
    try {
      for (let n = 2; ; n++) if (isPrime(n)) yield n // has no end of its own
    } finally {
      console.log('the generator of primes has ended')
    }
  },
})
await worker.start()

const client = createClient(broker)
const { countdown, primes } = client.service(numbers)

for await (const n of countdown({ from: 3 })) console.log(n)

for await (const prime of primes()) {
  if (prime > 1_000_000) break // ends the generator too
  if (prime > 999_960) console.log(prime)
}

await client.close()
await worker.close()
rmSync(dir, { recursive: true })

function isPrime(n) {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}
