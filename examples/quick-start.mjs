// A contract, a worker and a client: `node examples/quick-start.mjs` after `npm run build`. Here they share a process; in
// real life the contract is a file of its own, and client and worker are processes that meet at the same broker.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, createWorker, defineService, method, type } from 'replyto'

const greetings = defineService('greetings', {
  methods: { greet: method({ input: type(), output: type() }) }, // type() checks nothing; zod, valibot, arktype do
})

const dir = mkdtempSync(join(tmpdir(), 'quick-start-'))
const broker = `file:${dir}` // the embedded broker: a directory, no server

const worker = createWorker(broker)
worker.serve(greetings, { greet: ({ name }) => `Hello, ${name}!` })
await worker.start()

const client = createClient(broker)
const { greet } = client.service(greetings)
console.log(await greet({ name: 'world' }))

await client.close()
await worker.close()
rmSync(dir, { recursive: true })
