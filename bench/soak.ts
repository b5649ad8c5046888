import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

// `npm run soak -- --calls 1000000`: a client and a worker in processes of their own make so many calls, every tenth of which
// times out, and print what their heaps hold after a full collection. A heap that grows with the calls is a leak.

const { values } = parseArgs({
  options: { calls: { type: 'string', default: '1000000' }, broker: { type: 'string', default: 'file:' } },
})
const calls = Number(values.calls)
if (!Number.isSafeInteger(calls) || calls < 1_000 || calls > 10_000_000)
  throw new RangeError(`--calls is a whole number from 1000 to 10000000; got ${values.calls}`)

const CHECKPOINTS = 10
/** Tables that fill up to their bound, such as the 10,000 finished ids, and compiled code: not a leak. */
const ALLOWED_GROWTH_BYTES = 12 * 1024 * 1024
const MIB = 1024 * 1024

const dir = mkdtempSync(join(tmpdir(), 'replyto-soak-'))
const broker = values.broker === 'file:' ? `file:${dir}` : values.broker
const ended = new AbortController()
const sides = [startSide('worker'), startSide('client')] as const
for (const side of sides) side.once('exit', () => ended.abort(new Error('a process of the soak has ended')))
process.once('SIGINT', () => end(130))

try {
  process.exitCode = await soak()
} finally {
  end(process.exitCode ?? 1)
}

async function soak(): Promise<number> {
  const [worker, client] = sides
  await ask(worker, {})
  const heaps: { readonly client: number; readonly worker: number }[] = []
  console.log(`${calls} calls at ${broker}, every tenth of them times out\n`)
  console.log('| calls | calls/s | timed out | other errors | client heap, MiB | worker heap, MiB |')
  console.log('| ---: | ---: | ---: | ---: | ---: | ---: |')
  for (let done = 0; done < calls;) {
    const count = Math.min(Math.ceil(calls / CHECKPOINTS), calls - done)
    const started = performance.now()
    const made = await ask(client, { calls: count })
    const perSecond = (count / (performance.now() - started)) * 1000
    done += count
    const { heap = 0 } = await ask(worker, {})
    heaps.push({ client: made.heap ?? 0, worker: heap })
    const cells = [done, perSecond.toFixed(0), made.timedOut, made.failed, mib(made.heap ?? 0), mib(heap)]
    console.log(`| ${cells.join(' | ')} |`)
  }
  // The first checkpoint has the compiled code and the tables that fill up.
  const growth = (side: 'client' | 'worker'): number => (heaps.at(-1)?.[side] ?? 0) - (heaps[0]?.[side] ?? 0)
  console.log(`\ngrowth since the first line: client ${mib(growth('client'))} MiB, worker ${mib(growth('worker'))} MiB`)
  return Math.max(growth('client'), growth('worker')) > ALLOWED_GROWTH_BYTES ? 1 : 0
}

interface Answer {
  readonly heap?: number
  readonly timedOut?: number
  readonly failed?: number
}

function startSide(role: string): ChildProcess {
  return fork(fileURLToPath(new URL('./soak-side.js', import.meta.url)), [role, broker], { execArgv: ['--expose-gc'] })
}

async function ask(side: ChildProcess, order: { readonly calls?: number }): Promise<Answer> {
  side.send(order)
  const [answer] = (await once(side, 'message', { signal: ended.signal })) as [Answer] // from soak-side.ts
  return answer
}

function end(code: number | string): void {
  for (const side of sides) side.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
  process.exitCode = code
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1)
}
