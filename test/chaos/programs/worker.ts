// A worker in a process of its own. argv: JSON of WorkerProgram. stdin: close, counters, exit. stdout: ready, closed, counters {…}.
import { setTimeout as sleep } from 'node:timers/promises'
import { createWorker, RetryAfter, type HandlerContext } from 'replyto'
import { embedded, type EmbeddedOptions } from 'replyto/embedded'
import { listen, say } from './commands.ts'
import { gate, isFirst, openNotes } from './ledger-file.ts'
import { chaos, type FatalWork, type FlowWork, type TimedWork, type Work } from './service.ts'

export interface WorkerProgram {
  readonly root: string
  readonly embedded: EmbeddedOptions
  readonly concurrency: number
  readonly prefetch?: number
  /** Of 'close'. */
  readonly graceMs?: number
  /** `worker.run()`, which ends on SIGTERM; else `start()`. */
  readonly runs?: boolean
}

/** Longer than a worker holds a retry itself. */
const LATE_MS = 5_500

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerProgram // written by processes.ts
const { root, concurrency, prefetch } = options
const note = openNotes(root)

/** Notes the begin and the end of a run; what it awaits is done in between. */
async function noted({ key }: Work, ctx: HandlerContext, run: () => unknown): Promise<string> {
  note('begin', key, ctx.attempt, process.pid)
  try {
    await run()
  } finally {
    note('end', key, ctx.attempt, process.pid)
  }
  return key
}

const worker = createWorker(embedded(options.embedded), { concurrency, prefetch })
worker.serve(chaos, {
  echo: (input, ctx) => noted(input, ctx, () => sleep(input.ms)),
  fail: (input, ctx) => noted(input, ctx, () => failAfter(input)),
  refuse: async (input, ctx) => {
    await noted(input, ctx, () => sleep(input.ms))
    throw ctx.fail('REFUSED', { key: input.key })
  },
  flaky: (input, ctx) => noted(input, ctx, () => (ctx.attempt === 1 ? failAfter(input) : sleep(input.ms))),
  hold: (input, ctx) => noted(input, ctx, () => gate(root, input.key, ctx.signal)),
  stubborn: (input, ctx) => noted(input, ctx, () => gate(root, input.key)),
  never: (input, ctx) => noted(input, ctx, () => (isFirst(root, input.key) ? new Promise(() => {}) : undefined)),
  fatal: (input, ctx) => noted(input, ctx, () => (isFirst(root, input.key) ? endProcess(input) : undefined)),
  poison: (input, ctx) => noted(input, ctx, () => endProcess(input)),
  block: (input, ctx) => noted(input, ctx, () => (isFirst(root, input.key) ? blockLoop(input) : undefined)),
  stall: (input, ctx) => noted(input, ctx, () => blockLoop(input)),
  postponed: (input, ctx) => noted(input, ctx, () => retryLate(ctx)),
  flow,
  note: async (input, ctx) => void (await noted(input, ctx, () => {})),
  late: async (input, ctx) => void (await noted(input, ctx, () => retryLate(ctx))),
  broken: async (input, ctx) => void (await noted(input, ctx, () => failAfter({ ...input, ms: 0 }))),
})

async function* flow({ key, ms, count, isHeld }: FlowWork, ctx: HandlerContext): AsyncGenerator<number> {
  note('begin', key, ctx.attempt, process.pid)
  try {
    if (isHeld) await gate(root, key, ctx.signal)
    for (let n = 0; n < count && !ctx.signal.aborted; n++) {
      yield n
      await sleep(ms)
    }
  } finally {
    note('end', key, ctx.attempt, process.pid)
  }
}
async function failAfter({ ms }: TimedWork): Promise<never> {
  await sleep(ms)
  throw new Error('meant to fail')
}
function endProcess({ how }: FatalWork): Promise<never> {
  if (how === 'exit') process.exit(3)
  if (how === 'kill') process.kill(process.pid, 'SIGKILL')
  setImmediate(() => {
    throw new Error('meant to end the process')
  })
  return new Promise(() => {})
}
function blockLoop({ ms }: TimedWork): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}
function retryLate({ attempt }: HandlerContext): void {
  if (attempt === 1) throw new RetryAfter(LATE_MS)
}

async function main(): Promise<void> {
  const stopListening = listen({
    close: () => worker.close(options.graceMs === undefined ? {} : { graceMs: options.graceMs }).then(end),
    counters: () => say('counters', worker.counters),
    exit: () => process.exit(),
  })
  function end(): void {
    say('closed', worker.counters)
    stopListening()
  }
  if (options.runs === true) void worker.run().then(end)
  await worker.start()
  say('ready')
}

process.on('unhandledRejection', (error) => note('odd', 'unhandledRejection', String(error)))
await main()
