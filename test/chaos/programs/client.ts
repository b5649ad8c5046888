// A client in a process of its own. argv: JSON of ClientProgram. stdin: finish, counters, exit. stdout: ready, reading, finished, counters {…}.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, ReplytoError } from 'replyto'
import { embedded, type EmbeddedOptions } from 'replyto/embedded'
import { createRandom, type Random } from '../random.ts'
import { listen, say } from './commands.ts'
import { openNotes } from './ledger-file.ts'
import { chaos } from './service.ts'

export interface ClientProgram {
  readonly root: string
  readonly name: string
  readonly embedded: EmbeddedOptions
  /** How many calls, and sends, are under way at a time, until 'finish'. */
  readonly calls: number
  readonly sends: number
  /** How long the handler of a call takes. */
  readonly ms: number
  readonly timeoutMs: number
  readonly replyLeaseMs?: number
  /** Keys of calls of `hold` that are made at the start. */
  readonly held: readonly string[]
  /** Keys of streams that are read from the start, `ms` for each item, as long as they last. @default none */
  readonly flows?: readonly string[]
  /** Their outcomes are kept for so long, under their keys. @default not at all */
  readonly keepMs?: number
  /** Calls of every kind, drawn from this seed, instead of plain ones. */
  readonly seed?: number
}

const options = JSON.parse(process.argv[2] ?? '{}') as ClientProgram // written by processes.ts
const { root, name, ms, timeoutMs, replyLeaseMs } = options
const note = openNotes(root)
const client = createClient(embedded(options.embedded), { name, ...(replyLeaseMs && { replyLeaseMs }) })
const stub = client.service(chaos, { timeoutMs })
let isFinishing = false
let last = 0
let readersBegun = 0

/** The kinds of calls; judge.ts says how each may end. */
export type Kind = 'plain' | 'fail' | 'refuse' | 'flaky' | 'hurried' | 'cancelled' | 'hold'
const MIX: readonly Kind[] = [
  ...Array.from({ length: 8 }, (): Kind => 'plain'),
  ...(['fail', 'refuse', 'flaky', 'flaky', 'hurried', 'hurried', 'cancelled', 'cancelled', 'cancelled'] as const),
]

function make(kind: Kind, key: string, random: Random): Promise<string> {
  const work = { key, ms: kind === 'plain' ? ms : random.upTo(2 * ms) }
  switch (kind) {
    case 'plain':
      return stub.echo(work)
    case 'fail':
    case 'refuse':
    case 'flaky':
      return stub[kind](work)
    case 'hurried':
      return stub.echo(work, { timeoutMs: 1 + random.upTo(4 * ms) })
    case 'cancelled':
      return stub.echo(work, { signal: AbortSignal.timeout(random.upTo(4 * ms)) })
    case 'hold':
      return options.keepMs === undefined
        ? stub.hold({ key })
        : stub.hold.start({ key }, { keepMs: options.keepMs, id: key })
  }
}

async function call(kind: Kind, key: string, random: Random): Promise<void> {
  note('made', key, kind)
  try {
    const value = await make(kind, key, random)
    if (value === key) note('ok', key)
    else note('odd', key, 'got', value)
  } catch (error) {
    if (stub.refuse.isDeclaredError(error) && error.data.key !== key) note('odd', key, 'got', error.data.key)
    else noteError('error', key, error)
  }
}

async function callOn(random: Random): Promise<void> {
  while (!isFinishing) {
    const kind = options.seed === undefined ? 'plain' : random.pick(MIX)
    await call(kind, `${name}.c${++last}`, random)
  }
}

async function readOn(key: string): Promise<void> {
  note('made', key, 'flow')
  try {
    for await (const n of stub.flow({ key, ms: 0, count: Number.MAX_SAFE_INTEGER, isHeld: false })) {
      if (n === 0 && ++readersBegun === options.flows?.length) say('reading')
      await sleep(ms)
    }
    note('ok', key)
  } catch (error) {
    noteError('error', key, error)
  }
}

async function sendOn(): Promise<void> {
  while (!isFinishing) {
    const key = `${name}.s${++last}`
    note('sending', key)
    try {
      await stub.note.send({ key })
      note('sent', key)
    } catch (error) {
      noteError('unsent', key, error)
    }
  }
}

function noteError(kind: 'error' | 'unsent', key: string, error: unknown): void {
  if (error instanceof ReplytoError) note(kind, key, error.code, error.executed, error.stage)
  else note('odd', key, String(error))
}

async function main(): Promise<void> {
  await client.ready()
  say('ready')
  const random = createRandom(options.seed ?? 0)
  const running = [
    ...options.held.map((key) => call('hold', key, random)),
    ...(options.flows ?? []).map(readOn),
    ...Array.from({ length: options.calls }, () => callOn(random)),
    ...Array.from({ length: options.sends }, sendOn),
  ]
  const stopListening = listen({
    async finish() {
      isFinishing = true
      await Promise.all(running)
      await client.close()
      say('finished', client.counters)
      stopListening()
    },
    counters: () => say('counters', client.counters),
    exit: () => process.exit(),
  })
}

process.on('unhandledRejection', (error) => note('odd', 'unhandledRejection', String(error)))
await main()
