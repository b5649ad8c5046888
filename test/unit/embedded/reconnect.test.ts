import { readdirSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BrokerAdapter, Delivery } from '../../../broker-adapters/adapter.ts'
import { latestEpoch, readHub } from '../../../broker-adapters/embedded/election.ts'
import type { EmbeddedOptions } from '../../../broker-adapters/embedded/index.ts'
import { messageOf, openEmbedded, QUEUE, resultOf, type Opened } from '../../support/embedded-adapter.ts'
import { makeDirectory, startPeer, type Peer } from '../../support/embedded-processes.ts'

let root = ''
let dir = ''
const open: BrokerAdapter[] = []
const peers: Peer[] = []

beforeEach(() => {
  const made = makeDirectory()
  root = made.root
  dir = made.dir
})
afterEach(async () => {
  for (const adapter of open.splice(0).toReversed()) await adapter.stop()
  for (const peer of peers.splice(0)) {
    peer.kill('SIGKILL')
    await peer.exited
  }
  rmSync(root, { recursive: true, force: true })
})

/** A process of its own that is the hub and does nothing else. */
async function startHub(more: Partial<EmbeddedOptions> = {}): Promise<Peer> {
  const peer = startPeer(root, {
    name: `hub${peers.length}`,
    embedded: { dir, ...more },
    sends: 0,
    calls: 0,
    works: false,
  })
  peers.push(peer)
  await peer.line('up')
  return peer
}
async function start(more: Partial<EmbeddedOptions> = {}): Promise<Opened> {
  const opened = openEmbedded({ dir, ...more })
  open.push(opened.adapter)
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened
}
function consumeOne(adapter: BrokerAdapter): Promise<{ first: Delivery; all: Delivery[] }> {
  const all: Delivery[] = []
  return new Promise((resolve) => {
    void adapter.consume(QUEUE, { prefetch: 5 }, (delivery) => {
      all.push(delivery)
      resolve({ first: delivery, all })
    })
  })
}
async function killHub(hub: Peer, survivor: Opened): Promise<void> {
  const up = survivor.next('up')
  hub.kill('SIGKILL')
  await hub.exited
  await up
}

test('a running call outlives its hub: it is not handed out again, and its reply settles it', async () => {
  const hub = await startHub()
  const worker = await start()
  const caller = await start()
  const replies: string[] = []
  const inbox = await caller.adapter.openInbox(
    { leaseMs: 60_000, onRecreated: () => replies.push('recreated') },
    (reply, done) => {
      replies.push(reply.correlationId)
      done()
    },
  )
  const consumed = consumeOne(worker.adapter)
  await caller.adapter.publish(QUEUE, [messageOf('m1', { replyTo: inbox.address })])
  const { first, all } = await consumed
  const callerUp = caller.next('up')
  await killHub(hub, worker)
  await callerUp
  expect(first.isLost).toBe(false)
  expect(await worker.adapter.stats(QUEUE)).toMatchObject({ ready: 0, active: 1, consumers: 1 })
  expect(await worker.adapter.reply(inbox.address, [resultOf('m1')])).toEqual(['stored'])
  first.ack()
  await expect.poll(() => worker.adapter.stats(QUEUE)).toMatchObject({ ready: 0, active: 0 })
  expect(replies).toEqual(['m1'])
  expect(all).toHaveLength(1)
  // In order: down, up; and what is published meanwhile is not sent.
  expect(worker.states.map(({ state }) => state)).toEqual(['up', 'down', 'up'])
})

test('what is settled while there is no hub is settled at the next one', async () => {
  const hub = await startHub()
  const worker = await start()
  const consumed: Delivery[] = []
  await worker.adapter.consume(QUEUE, { prefetch: 5 }, (delivery) => consumed.push(delivery))
  await worker.adapter.publish(QUEUE, [messageOf('ack'), messageOf('retry'), messageOf('dead'), messageOf('release')])
  await expect.poll(() => consumed.length).toBe(4)
  const down = worker.next('down')
  const up = worker.next('up')
  hub.kill('SIGKILL')
  await down
  const [toAck, toRetry, toBury, toRelease] = consumed.splice(0)
  toAck?.ack()
  toRelease?.release()
  const retried = toRetry?.retry({ delayMs: 60_000, headers: {} })
  const buried = toBury?.deadLetter({ code: 'CRASHED', reason: 'no', attempts: 1 })
  expect(await worker.adapter.publish(QUEUE, [messageOf('m')])).toEqual([{ status: 'notSent' }])
  expect(await worker.adapter.reply('replyto.i.nobody', [resultOf('m')])).toEqual(['unknown'])
  await expect(worker.adapter.stats(QUEUE)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  await up
  await retried
  await buried
  await expect.poll(() => consumed.map(({ message, handBacks }) => [message.id, handBacks])).toEqual([['release', 1]])
  await expect
    .poll(() => worker.adapter.stats(QUEUE))
    .toEqual({ ready: 0, dead: 1, delayed: 1, active: 1, consumers: 1, isPaused: false })
})

test('what a dead worker held under a dead hub is handed out again at once, and counted', async () => {
  const both = startPeer(root, { name: 'both', embedded: { dir }, sends: 0, calls: 0, works: false })
  peers.push(both)
  await both.line('up')
  const survivor = await start({ resumeMs: 30_000 })
  const dying = startPeer(root, { name: 'dying', embedded: { dir }, sends: 0, calls: 0, works: true })
  peers.push(dying)
  await dying.line('up')
  // It is frozen, so it holds what it gets; killed before it thaws.
  dying.kill('SIGSTOP')
  await survivor.adapter.publish(QUEUE, [messageOf('m1')])
  await expect.poll(() => survivor.adapter.stats(QUEUE)).toMatchObject({ active: 1, ready: 0 })
  const up = survivor.next('up')
  dying.kill('SIGKILL')
  both.kill('SIGKILL')
  await Promise.all([dying.exited, both.exited, up])
  const { first } = await consumeOne(survivor.adapter)
  expect([first.message.id, first.redelivered, first.handBacks]).toEqual(['m1', true, 1])
})

test('a process that is silent is given up: its delivery goes to another, and it hears of it', async () => {
  await startHub({ peerSilenceMs: 400 })
  const frozen = startPeer(root, { name: 'frozen', embedded: { dir }, sends: 0, calls: 0, works: true })
  peers.push(frozen)
  await frozen.line('up')
  const survivor = await start()
  frozen.kill('SIGSTOP')
  await survivor.adapter.publish(QUEUE, [messageOf('m1')])
  const { first } = await consumeOne(survivor.adapter)
  expect([first.message.id, first.handBacks]).toEqual(['m1', 1])
  frozen.kill('SIGCONT')
  await expect.poll(() => survivor.adapter.stats(QUEUE)).toMatchObject({ consumers: 2, active: 1, ready: 0 })
  first.ack()
  // It came back to the hub that had given it up, rather than take its place.
  expect(latestEpoch(dir)).toBe(1)
})

test('a delivery that was taken back says so to its holder', async () => {
  await startHub({ peerSilenceMs: 300 })
  const blocked = await start()
  const { first } = await (async () => {
    const consumed = consumeOne(blocked.adapter)
    await blocked.adapter.publish(QUEUE, [messageOf('m1')])
    return consumed
  })()
  const other = startPeer(root, { name: 'other', embedded: { dir }, sends: 0, calls: 0, works: true })
  peers.push(other)
  await other.line('up')
  const lost = new Promise<void>((resolve) => first.onLost(resolve))
  // This process is busy for too long; its delivery goes to the other one.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
  await lost
  expect(first.isLost).toBe(true)
  first.ack()
  await first.retry({ delayMs: 0, headers: {} })
})

/** Longer than the test may take: whoever waits for silence fails it. */
const NO_SILENCE = { silenceMs: 3_600_000 }
const socketsOf = (directory: string): string[] => readdirSync(directory).filter((name) => name.endsWith('.sock'))

test('a hub that was killed is succeeded at once, without waiting for its silence', async () => {
  const hub = await startHub(NO_SILENCE)
  const survivor = await start(NO_SILENCE)
  await killHub(hub, survivor)
  expect(latestEpoch(dir)).toBe(2)
})

test('a process that stands by takes over with the socket that it had ready', async () => {
  const hub = await startHub(NO_SILENCE)
  const [hubSocket] = socketsOf(dir)
  const survivor = await start(NO_SILENCE)
  await expect.poll(() => socketsOf(dir), { timeout: 10_000 }).toHaveLength(2)
  const ready = socketsOf(dir).filter((name) => name !== hubSocket)
  await killHub(hub, survivor)
  expect([readHub(dir, 2)?.socket]).toEqual(ready)
})

test('a living process keeps its deliveries at the next hub, however long its way there takes', async () => {
  const hub = await startHub()
  const slow = startPeer(root, { name: 'slow', embedded: { dir }, sends: 0, calls: 0, works: true })
  peers.push(slow)
  await slow.line('up')
  const survivor = await start({ resumeMs: 50 })
  slow.kill('SIGSTOP')
  await survivor.adapter.publish(QUEUE, [messageOf('held')])
  await expect.poll(() => survivor.adapter.stats(QUEUE)).toMatchObject({ active: 1, ready: 0 })
  await killHub(hub, survivor)
  const consumed = consumeOne(survivor.adapter)
  // Due when what nobody came back for has gone back twice over.
  await survivor.adapter.publish(QUEUE, [messageOf('later', { delayMs: 500 })])
  expect((await consumed).first.message.id).toBe('later')
  slow.kill('SIGCONT')
  await expect.poll(() => survivor.adapter.stats(QUEUE)).toMatchObject({ active: 1, ready: 0, consumers: 2 })
  expect((await consumed).all).toHaveLength(1)
})

test("'never' waits for a host, and uses it", async () => {
  const waiting = openEmbedded({ dir, host: 'never' })
  open.push(waiting.adapter)
  const started = waiting.start()
  await startHub()
  await started
  expect(latestEpoch(dir)).toBe(1)
  await waiting.adapter.declare(QUEUE)
  expect(await waiting.adapter.publish(QUEUE, [messageOf('m1')])).toEqual([{ status: 'stored' }])
})

test('stop ends every promise, also without a hub', async () => {
  const waiting = openEmbedded({ dir, host: 'never' })
  open.push(waiting.adapter)
  const started = waiting.start().catch(() => 'ended')
  const consuming = waiting.adapter
    .consume(QUEUE, { prefetch: 1 }, () => undefined)
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  await waiting.adapter.stop()
  expect(await consuming).toMatchObject({ code: 'CLOSED' })
  expect(await started).toBe('ended')
})

test('ten processes at once: one hub', async () => {
  await Promise.all(Array.from({ length: 10 }, () => startHub()))
  expect(latestEpoch(dir)).toBe(1)
  const [first] = peers
  first?.kill('SIGKILL')
  if (first !== undefined) await first.exited
  const opened = await start()
  expect(await opened.adapter.publish(QUEUE, [messageOf('m1')])).toEqual([{ status: 'stored' }])
}, 30_000)
