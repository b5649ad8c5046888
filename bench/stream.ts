import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createClient, createWorker, defineService, method, type } from 'replyto'

// `npm run bench:stream`: items per second of one stream of 100 B items between two processes, and what the heaps hold.

const ITEM_BYTES = 100
const RUNS = 5
const MIB = 1024 * 1024

interface Item {
  readonly n: number
  readonly text: string
}
const service = defineService('bench-stream', {
  methods: { items: method({ input: type<number>(), yields: type<Item>() }) },
})

const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '200000' },
    broker: { type: 'string', default: 'file:' },
    worker: { type: 'boolean', default: false },
  },
})
await (values.worker ? work(values.broker) : measure(Number(values.items), values.broker))

async function work(broker: string): Promise<void> {
  const worker = createWorker(broker)
  worker.serve(service, {
    async *items(count) {
      const text = 'x'.repeat(ITEM_BYTES - 16)
      for (let n = 0; n < count; n++) yield { n, text }
    },
  })
  await worker.start()
  process.on('disconnect', () => process.exit())
  process.on('message', () => process.send?.(heap()))
  process.send?.('ready')
}

async function measure(count: number, target: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'replyto-stream-'))
  const broker = target === 'file:' ? `file:${dir}` : target
  const child = fork(fileURLToPath(import.meta.url), ['--worker', '--broker', broker], { execArgv: ['--expose-gc'] })
  try {
    await once(child, 'message')
    const client = createClient(broker)
    console.log(`${count} items of ${ITEM_BYTES} B, one stream, ${broker}\n`)
    console.log('| run | items/s | client heap, MiB | worker heap, MiB |\n| ---: | ---: | ---: | ---: |')
    for (let run = 1; run <= RUNS; run++) {
      const started = performance.now()
      let read = 0
      for await (const item of client.service(service).items(count)) read += item.n === read ? 1 : NaN
      const perSecond = (read / (performance.now() - started)) * 1000
      child.send('heap')
      const [theirs] = (await once(child, 'message')) as [number] // see `work`
      console.log(`| ${[run, perSecond.toFixed(0), mib(heap()), mib(theirs)].join(' | ')} |`)
    }
    await client.close()
  } finally {
    child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  }
}

function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1)
}
