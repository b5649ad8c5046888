// A client under load in a process of its own. argv: JSON of ClientProgram. stdout: 'ready', 'finished'. stdin: 'finish', 'exit'.
// Notes: made, ok, error <code> <executed> of calls; sending, sent, unsent <code> <executed> of sends.
import { createInterface } from 'node:readline'
import { createClient, ReplytoError } from 'replyto'
import { embedded, type EmbeddedOptions } from 'replyto/embedded'
import { openNotes } from './ledger-file.ts'
import { chaos } from './service.ts'

export interface ClientProgram {
  readonly root: string
  readonly name: string
  readonly embedded: EmbeddedOptions
  /** How many calls, and sends, are under way at a time. */
  readonly calls: number
  readonly sends: number
  /** How long the handler of a call takes. */
  readonly ms: number
  readonly timeoutMs: number
}

const options = JSON.parse(process.argv[2] ?? '{}') as ClientProgram // written by processes.ts
const { root, name, ms, timeoutMs } = options
const note = openNotes(root)
const client = createClient(embedded(options.embedded), { name, log: () => {} })
const stub = client.service(chaos)
let isFinishing = false
let last = 0

async function callOn(): Promise<void> {
  while (!isFinishing) {
    const key = `${name}.c${++last}`
    note('made', key)
    try {
      const value = await stub.echo({ key, ms }, { timeoutMs })
      note(value === key ? 'ok' : 'odd', key, value)
    } catch (error) {
      noteError('error', key, error)
    }
  }
}

async function sendOn(): Promise<void> {
  while (!isFinishing) {
    const key = `${name}.s${++last}`
    note('sending', key)
    try {
      await stub.note.send({ key }, { timeoutMs })
      note('sent', key)
    } catch (error) {
      noteError('unsent', key, error)
    }
  }
}

function noteError(kind: string, key: string, error: unknown): void {
  if (error instanceof ReplytoError) note(kind, key, error.code, error.executed)
  else note('odd', key, String(error).replaceAll(/\s/g, '_'))
}

async function main(): Promise<void> {
  await client.ready()
  console.log('ready')
  const running = [...Array.from({ length: options.calls }, callOn), ...Array.from({ length: options.sends }, sendOn)]
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'exit') process.exit(0)
    if (line !== 'finish') continue
    isFinishing = true
    await Promise.all(running)
    await client.close()
    console.log('finished')
    process.stdin.destroy() // whatever else keeps the process would be a defect
    return
  }
}

process.on('unhandledRejection', (error) => note('odd', 'unhandledRejection', String(error).replaceAll(/\s/g, '_')))
await main()
