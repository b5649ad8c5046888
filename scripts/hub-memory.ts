import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, createWorker, defineService, method, type } from 'replyto'
import { embedded } from 'replyto/embedded'

// `npm run hub:memory`: what the hub of a directory needs for queued sends, in a process that does nothing else, and how
// long a fresh process takes to continue after it was killed. Linux only: it reads /proc.

const COUNTS = [100_000, 1_000_000]
const WARM_UP = 20_000
const BODY_BYTES = 200
const BATCH = 5_000
const MIB = 1024 * 1024
const MAX_BYTES = 8 * 1024 * MIB

const service = defineService('memory', {
  methods: { store: method({ input: type<{ text: string }>(), oneWay: true }) },
})

interface Memory {
  /** Of its own, without mapped files. */
  readonly anonymous: number
  /** Pages of files, mostly of the store; the system takes them back when it needs them. */
  readonly mapped: number
}

if (process.argv[2] === 'host') await beHost(process.argv[3] ?? '')
else for (const count of COUNTS) await measure(count)

async function beHost(dir: string): Promise<void> {
  const started = performance.now()
  const client = createClient(embedded({ dir, maxBytes: MAX_BYTES }), { connectTimeoutMs: 300_000 })
  await client.ready()
  console.log(`up ${performance.now() - started}`)
}

async function measure(count: number): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'replyto-memory-'))
  const dir = join(root, 'broker')
  const silent = { host: 'never', maxBytes: MAX_BYTES, silenceMs: 60_000 } as const
  let [host] = await startHost(dir)
  const client = createClient(embedded({ dir, ...silent }))
  const stub = client.service(service)
  const queue = client.queue(service)
  const send = async (total: number): Promise<void> => {
    for (let sent = 0; sent < total; sent += BATCH) {
      const inputs = Array.from({ length: Math.min(BATCH, total - sent) }, () => ({ text: 'x'.repeat(BODY_BYTES) }))
      const { failed } = await stub.store.sendMany(inputs)
      if (failed.length > 0) throw new Error('a send failed', { cause: failed[0]?.error })
    }
  }
  /** Between two hubs nobody answers. */
  const isReady = async (fits: (ready: number) => boolean): Promise<void> => {
    while (
      !fits(
        await queue.stats().then(
          ({ ready }) => ready,
          () => -1,
        ),
      )
    )
      await pause(50)
  }
  const drain = async (): Promise<void> => {
    const worker = createWorker(embedded({ dir, ...silent }), { concurrency: 1_000 })
    worker.serve(service, { store: () => undefined })
    await worker.start()
    await isReady((ready) => ready === 0)
    await worker.close()
  }
  try {
    await send(WARM_UP)
    await drain()
    const base = await settled(host)
    await send(count)
    const full = await settled(host)
    host.kill('SIGKILL')
    await once(host, 'exit')
    const [next, upMs] = await startHost(dir)
    host = next
    await isReady((ready) => ready === count)
    const loaded = await settled(host)
    console.log(`${count} queued sends of ${BODY_BYTES} B, the hub has been at work before (${mb(base.anonymous)} MB)`)
    console.log(`  sent       ${line(full, base, count)}`)
    console.log(`  taken over ${line(loaded, base, count)}; after ${upMs.toFixed(0)} ms in a fresh process`)
  } finally {
    await client.close({ graceMs: 0 })
    host.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  }
}

async function startHost(dir: string): Promise<[ChildProcess, number]> {
  const host = spawn(process.execPath, [fileURLToPath(import.meta.url), 'host', dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(host.stdout, 'data')) as [Buffer] // a stream without an encoding
  return [host, Number(said.toString().split(' ')[1])]
}

/** When it no longer changes: garbage is collected when the process has nothing else to do, or never. */
async function settled({ pid }: ChildProcess): Promise<Memory> {
  await pause(3_000)
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytesOf = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { anonymous: bytesOf('RssAnon'), mapped: bytesOf('RssFile') }
}

function line({ anonymous, mapped }: Memory, base: Memory, count: number): string {
  const more = anonymous - base.anonymous
  return `${mb(more)} MB beyond that, ${Math.round(more / count)} B each; ${mb(mapped - base.mapped)} MB of the file mapped`
}

function mb(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
