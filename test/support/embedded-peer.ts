// A process of the tests: one embedded adapter that publishes, works and keeps a ledger in a file, which outlives any kill.
// argv: JSON of PeerOptions. stdin: 'finish' | 'exit' | 'stop', one a line. stdout: 'up', 'finished', one a line.
import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Delivery } from '../../broker-adapters/adapter.ts'
import type { EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import type { Message, QueueRef } from '../../protocol/message.ts'
import { KEPT, messageOf, openEmbedded, QUEUE, resultOf } from './embedded-adapter.ts'

export interface PeerOptions {
  readonly name: string
  readonly embedded: EmbeddedOptions
  readonly ledger: string
  /** How many sends, and calls, are under way at a time. */
  readonly sends: number
  readonly calls: number
  readonly works: boolean
  /** Sends go to a queue that nobody works on. @default false */
  readonly keeps?: boolean
  /** Between two sends or calls of the same lane. @default 0 */
  readonly pauseMs?: number
}

const options = JSON.parse(process.argv[2] ?? '{}') as PeerOptions // written by embedded-processes.ts
const ledger = openSync(options.ledger, 'a')
const peer = openEmbedded(options.embedded)
const { adapter } = peer
const answered = new Map<string, () => void>()
let isFinishing = false
let isUp = false
let upWaiters: (() => void)[] = []
let last = 0

function note(...words: (string | number)[]): void {
  writeSync(ledger, `${words.join(' ')}\n`)
}
/** The clock that all processes of a machine share and nobody sets. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}
async function pause(): Promise<void> {
  if (options.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.pauseMs))
}
function whenUp(): Promise<void> {
  return isUp ? Promise.resolve() : new Promise((resolve) => upWaiters.push(resolve))
}
function watchState(): void {
  void peer.next('up').then(() => {
    isUp = true
    const down = peer.states.findLast(({ state }) => state === 'down')
    note('up', down === undefined ? 0 : Date.now() - down.at)
    for (const resolve of upWaiters.splice(0)) resolve()
    watchState()
  })
}
function watchDown(): void {
  void peer.next('down').then(() => {
    isUp = false
    note('down')
    watchDown()
  })
}

/** What the library's outbox does: the same message again until its outcome is known. */
async function publish(queue: QueueRef, message: Message, isAnswered: () => boolean): Promise<void> {
  for (;;) {
    await whenUp()
    if (isAnswered()) return
    const issuedAt = nowMs()
    const [outcome] = await adapter.publish(queue, [message])
    if (outcome?.status === 'stored') return note('confirmed', message.id, peer.epoch(), issuedAt, nowMs())
    if (outcome?.status !== 'unknown' && outcome?.status !== 'notSent') return note('refused', JSON.stringify(outcome))
    if (outcome.status === 'notSent') await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
async function sendOn(): Promise<void> {
  const queue = options.keeps === true ? KEPT : QUEUE
  while (!isFinishing) {
    await publish(queue, messageOf(`${options.name}.s${++last}`, { type: 'send' }), () => false)
    await pause()
  }
}
async function callOn(replyTo: string): Promise<void> {
  while (!isFinishing) {
    const id = `${options.name}.c${++last}`
    const reply = new Promise<void>((resolve) => answered.set(id, resolve))
    await publish(QUEUE, messageOf(id, { replyTo }), () => !answered.has(id))
    await reply
    await pause()
  }
}
async function work(delivery: Delivery): Promise<void> {
  const { id, replyTo } = delivery.message
  note('ran', id, delivery.redelivered ? 1 : 0, delivery.handBacks ?? '?')
  while (replyTo !== undefined && !delivery.isLost) {
    await whenUp()
    const [status] = await adapter.reply(replyTo, [resultOf(id)])
    if (status === 'stored') break
    if (status === 'gone') {
      note('gone', id)
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  delivery.ack()
}

async function main(): Promise<void> {
  watchState()
  watchDown()
  await peer.start()
  await adapter.declare(QUEUE)
  if (options.keeps === true) await adapter.declare(KEPT)
  const inbox = await adapter.openInbox(
    { leaseMs: 600_000, onRecreated: () => note('recreated') },
    ({ correlationId }, done) => {
      done()
      const resolve = answered.get(correlationId)
      if (answered.delete(correlationId)) note('answered', correlationId)
      resolve?.()
    },
  )
  if (options.works) await adapter.consume(QUEUE, { prefetch: 20 }, (delivery) => void work(delivery))
  console.log('up')
  const running = [
    ...Array.from({ length: options.sends }, sendOn),
    ...Array.from({ length: options.calls }, () => callOn(inbox.address)),
  ]
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'finish') {
      isFinishing = true
      await Promise.all(running)
      console.log('finished')
    } else if (line === 'exit') process.exit()
    else if (line === 'stop') {
      await adapter.stop()
      console.log('stopped')
      // Else the pipe keeps the process; whatever else does would be a defect.
      process.stdin.destroy()
      return
    }
  }
}

process.on('unhandledRejection', (error) => note('unhandled', String(error)))
await main()
