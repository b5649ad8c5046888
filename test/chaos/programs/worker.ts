// A worker in a process of its own. argv: JSON of WorkerProgram. stdout: 'ready', 'closed'. stdin: 'close', 'exit'.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWorker, RetryAfter, type HandlerContext } from 'replyto'
import { embedded, type EmbeddedOptions } from 'replyto/embedded'
import { gate, openNotes } from './ledger-file.ts'
import { chaos, type Work } from './service.ts'

export interface WorkerProgram {
  readonly root: string
  readonly embedded: EmbeddedOptions
  readonly concurrency: number
  readonly graceMs?: number
  /** `worker.run()`, which ends on SIGTERM. */
  readonly runs?: boolean
}

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerProgram // written by processes.ts
const { root, concurrency } = options
const note = openNotes(root)

/** Notes the begin and the end of a run. */
function noted<In extends Work>(run: (input: In, ctx: HandlerContext) => Promise<void> | void) {
  return async (input: In, ctx: HandlerContext): Promise<string> => {
    note('begin', input.key, ctx.attempt, process.pid)
    await run(input, ctx)
    note('end', input.key, ctx.attempt, process.pid)
    return input.key
  }
}

const worker = createWorker(embedded(options.embedded), { concurrency, log: () => {} })
worker.serve(chaos, {
  echo: noted<Work & { ms: number }>(({ ms }) => sleep(ms)),
  hold: noted(({ key }, { signal }) => gate(root, key, signal)),
  stubborn: noted(({ key }) => gate(root, key)),
  fatal: noted(({ key }) => {
    const marker = join(root, `died-${key}`)
    if (existsSync(marker)) return
    writeFileSync(marker, '')
    process.kill(process.pid, 'SIGKILL')
  }),
  block: noted<Work & { ms: number }>(({ ms }) => {
    for (const until = Date.now() + ms; Date.now() < until;);
  }),
  note: async (input, ctx) => void (await noted(() => {})(input, ctx)),
  late: async (input, ctx) => void (await noted(retryLate)(input, ctx)),
  broken: async (input, ctx) => void (await noted(fail)(input, ctx)),
})

/** Longer than a worker holds a retry itself. */
function retryLate(_: Work, { attempt }: HandlerContext): void {
  if (attempt === 1) throw new RetryAfter(5_500)
}
function fail(): void {
  throw new Error('broken')
}

async function main(): Promise<void> {
  if (options.runs === true) {
    const running = worker.run()
    await worker.start()
    console.log('ready')
    await running
    console.log('closed')
    return
  }
  await worker.start()
  console.log('ready')
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'exit') process.exit(0)
    if (line !== 'close') continue
    await worker.close({ graceMs: options.graceMs ?? 20_000 })
    console.log('closed')
    process.stdin.destroy() // whatever else keeps the process would be a defect
    return
  }
}

process.on('unhandledRejection', (error) => note('odd', 'unhandledRejection', String(error).replaceAll(/\s/g, '_')))
await main()
