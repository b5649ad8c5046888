import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect as connectAmqp, type GetMessage } from 'amqplib'
import { inject, onTestFinished } from 'vitest'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { createClient } from '../../client/index.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/index.ts'
import type { Handlers } from '../../worker/types.ts'
import { eventually } from '../support/eventually.ts'

// The programs of examples/python as processes, what of ours talks to them, and a caller by hand.

const { url = '' } = inject('rabbitmq')
const { command: python = '' } = inject('python')
export const LIMIT_MS = 30_000

export interface Parcel {
  readonly country: string
  readonly kg: number
}
export const parcels = defineService('parcels', {
  encoding: 'json',
  methods: {
    quote: method({
      input: type<Parcel>(),
      output: type<{ readonly price: number; readonly by: string }>(),
      errors: { NO_SUCH_COUNTRY: type<{ readonly country: string }>() },
    }),
    /** Not of the Python worker. */
    track: method({ input: type<string>(), output: type<string>() }),
  },
})

export interface PythonWorker {
  readonly process: ChildProcess
  readonly stderr: () => string
  readonly kill: () => Promise<void>
}

interface Printed {
  readonly out: unknown
  readonly stderr: string
}

/** A namespace that nobody else uses, and what takes part in it. */
export function setUp() {
  const namespace = `py-${randomUUID().slice(0, 8)}`
  const env = { ...process.env, REPLYTO_NAMESPACE: namespace }
  const script = (name: string): string => join('examples', 'python', `${name}.py`)

  function makeClient(): Client {
    const client = createClient(rabbitmq({ url }), { namespace })
    onTestFinished(() => client.close({ graceMs: 0 }))
    return client
  }

  /** A worker of ours that holds one call at a time. */
  async function work(handlers: Handlers<typeof parcels>): Promise<void> {
    const worker = createWorker(rabbitmq({ url }), { namespace, concurrency: 1, prefetch: 1 })
    onTestFinished(() => worker.close({ graceMs: 0 }))
    worker.serve(parcels, handlers)
    await worker.start()
  }

  /** Resolves when it takes calls. */
  async function pythonWorker(): Promise<PythonWorker> {
    const child = spawn(python, [script('worker'), url], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'exit')
    let stderr = ''
    child.stderr.on('data', (text) => (stderr += String(text)))
    const kill = async (): Promise<void> => {
      child.kill('SIGKILL')
      await exited
    }
    onTestFinished(kill)
    const ended = exited.then(() => Promise.reject(new Error(`the Python worker ended: ${stderr}`)))
    ended.catch(() => {}) // when the test ends it
    await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])
    return { process: child, stderr: () => stderr, kill }
  }

  /** What the Python client printed. */
  function pythonCall(methodName: string, input: unknown, seconds = 20): Promise<Printed> {
    const args = [script('client'), url, methodName, JSON.stringify(input), String(seconds)]
    return new Promise((resolve) => {
      execFile(python, args, { env, timeout: LIMIT_MS }, (_failed, stdout, stderr) =>
        resolve({ out: stdout === '' ? undefined : JSON.parse(stdout), stderr }),
      )
    })
  }

  return { namespace, makeClient, work, pythonWorker, pythonCall }
}

/** Asks by hand: each message is stored when `ask` resolves. */
export async function openRaw(namespace: string) {
  const connection = await connectAmqp(url)
  onTestFinished(() => connection.close())
  const channel = await connection.createConfirmChannel()
  const { queue: inbox } = await channel.assertQueue(`${namespace}.reply.test`, { exclusive: true })
  const queue = `${namespace}.q.default.parcels.v1`

  async function ask(messageId: string, { replyTo = inbox, deadline = Date.now() + 60_000 } = {}): Promise<void> {
    const headers = { 'rt-method': 'quote', 'rt-deadline': String(deadline) }
    channel.sendToQueue(queue, Buffer.from(JSON.stringify({ country: 'DE', kg: 1 })), { messageId, replyTo, headers })
    await channel.waitForConfirms()
  }
  const countIn = async (name: string): Promise<number> => (await channel.checkQueue(name)).messageCount

  async function replies(count: number): Promise<readonly unknown[]> {
    await eventually(async () => (await countIn(inbox)) === count, { within: LIMIT_MS })
    const found: unknown[] = []
    for (let message = await channel.get(inbox); message !== false; message = await channel.get(inbox))
      found.push(read(message))
    return found
  }

  return { channel, queue, inbox, ask, replies, countIn }
}

function read({ properties, content }: GetMessage): unknown {
  const { correlationId, type } = properties as { readonly correlationId: unknown; readonly type: unknown } // amqplib types them any
  return { id: correlationId, type, body: JSON.parse(content.toString()) as unknown }
}
