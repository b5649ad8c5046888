import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Delivery, PublishOutcome } from '../../../broker-adapters/adapter.ts'
import { latestEpoch } from '../../../broker-adapters/embedded/election.ts'
import { createJournal, readJournal } from '../../../broker-adapters/embedded/journal.ts'
import { messageOf, openEmbedded, QUEUE, resultOf, type Opened } from '../../support/embedded-adapter.ts'
import { spawnPeer } from '../../support/embedded-processes.ts'
import { eventually } from '../../support/eventually.ts'
import { mountSmallDisk, type SmallDisk } from '../../support/small-disk.ts'

let root = ''
let dir = ''
let disk: SmallDisk | undefined

beforeEach(({ skip }) => {
  root = mkdtempSync(join(tmpdir(), 'replyto-full-'))
  const mounted = mountSmallDisk(root, 40)
  if (mounted === undefined) return skip('no file system can be mounted')
  disk = mounted
  dir = join(disk.path, 'broker')
})
afterEach(() => {
  disk?.unmount()
  disk = undefined
  rmSync(root, { recursive: true, force: true })
})

const REFUSED = { status: 'refused', reason: expect.stringContaining('bytes left') as string }
const STORED = { status: 'stored' }

function current(): SmallDisk {
  if (disk === undefined) throw new Error('nothing is mounted')
  return disk
}
async function start(): Promise<Opened> {
  const opened = openEmbedded({ dir })
  onTestFinished(() => opened.adapter.stop())
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened
}
function publishOne({ adapter }: Opened, id: string, bytes = 300): Promise<PublishOutcome | undefined> {
  return adapter.publish(QUEUE, [messageOf(id, { body: new Uint8Array(bytes) })]).then(([outcome]) => outcome)
}
async function publishMany(opened: Opened, count: number, bytes = 300): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `m${index}`)
  const messages = ids.map((id) => messageOf(id, { type: 'send', body: new Uint8Array(bytes) }))
  expect(await opened.adapter.publish(QUEUE, messages)).toEqual(ids.map(() => STORED))
  return ids
}
/** Consumes; gives the deliveries as they come. */
async function take({ adapter }: Opened, prefetch: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  await adapter.consume(QUEUE, { prefetch }, (delivery) => void deliveries.push(delivery))
  return deliveries
}
async function restart(opened: Opened): Promise<Opened> {
  await opened.adapter.stop()
  return start()
}

describe('a disk that the broker itself fills', () => {
  test('publishes are refused below 16 MiB, what is stored is handed out, and then there is room again', async () => {
    const opened = await start()
    const stored: string[] = []
    for (let index = 0; ; index++) {
      const outcome = await publishOne(opened, `m${index}`, 60_000)
      if (outcome?.status !== 'stored') {
        expect(outcome).toEqual(REFUSED)
        break
      }
      stored.push(`m${index}`)
    }
    expect(stored.length).toBeGreaterThan(100)
    expect(await opened.adapter.stats(QUEUE)).toMatchObject({ ready: stored.length })
    const ran: string[] = []
    await opened.adapter.consume(QUEUE, { prefetch: 50 }, (delivery) => {
      ran.push(delivery.message.id)
      delivery.ack()
    })
    await expect.poll(() => opened.adapter.stats(QUEUE)).toMatchObject({ ready: 0, active: 0 })
    expect(ran).toEqual(stored)
    // Its file is as large as before: what is free in it counts.
    await expect.poll(() => publishOne(opened, `again${Math.random()}`, 60_000)).toEqual(STORED)
  })
})

describe('a disk that others fill', () => {
  test('what is being published is refused, also in the same moment; room makes it go on', async () => {
    const opened = await start()
    await publishMany(opened, 100)
    current().fill()
    // Not looked at since: the commit fails.
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, index) => publishOne(opened, `n${index}`, 9_000)),
    )
    expect(outcomes).toContainEqual(REFUSED)
    const late = outcomes.flatMap((outcome, index) => (outcome?.status === 'stored' ? [`n${index}`] : []))
    expect(await publishOne(opened, 'm0')).toEqual(
      expect.objectContaining({ status: expect.stringMatching(/stored|refused/) as string }),
    )
    current().empty()
    await expect.poll(() => publishOne(opened, 'later')).toEqual(STORED)
    const { adapter } = await restart(opened)
    expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 101 + late.length })
  })

  test('what is stored is settled in every way, and stays so', async () => {
    // Two that can be the hub, as LMDB may end the process of one where the disk is full: then the other one goes on.
    const hosts = ['one', 'other'].map((name) =>
      spawnPeer(root, { name, embedded: { dir }, sends: 0, calls: 0, works: false }),
    )
    onTestFinished(() => hosts.forEach((host) => void host.kill('SIGKILL')))
    await Promise.all(hosts.map((host) => new Promise((resolve) => host.stdout.once('data', resolve))))
    const opened = openEmbedded({ dir, host: 'never' })
    onTestFinished(() => opened.adapter.stop())
    await opened.start()
    await opened.adapter.declare(QUEUE)
    const { adapter } = opened
    await publishMany(opened, 3_000)
    const deliveries = await take(opened, 3_000)
    await eventually(() => deliveries.length === 3_000)
    const inbox = await adapter.openInbox({ leaseMs: 60_000, onRecreated: () => {} }, () => {})
    current().fill()
    // Spread over all pages first, then the rest.
    const [retried, dead, answered, ...rest] = deliveries
    for (const every of [7, 3, 1]) {
      for (let index = 0; index < rest.length; index += every) rest[index]?.ack()
    }
    await Promise.all([
      retried?.retry({ delayMs: 60_000, headers: {} }),
      dead?.deadLetter({ code: 'HANDLER_FAILED', reason: 'test', attempts: 1 }),
      adapter.reply(inbox.address, [resultOf(answered?.message.id ?? '')]),
    ])
    answered?.ack()
    await expect.poll(() => adapter.stats(QUEUE)).toMatchObject({ ready: 0, active: 0, delayed: 1, dead: 1 })
    // The disk is looked at once a second: until then what fits into the store's own free pages is stored.
    const stored: string[] = []
    await eventually(async () => {
      const id = `new${stored.length}`
      const outcome = await publishOne(opened, id)
      if (outcome?.status === 'stored') stored.push(id)
      else expect(outcome).toEqual(REFUSED)
      return outcome?.status !== 'stored'
    })
    current().empty()
    await expect.poll(() => publishOne(opened, 'later')).toEqual(STORED)
    await opened.adapter.stop()
    for (const host of hosts) host.kill('SIGKILL')
    const again = await start()
    expect(await again.adapter.stats(QUEUE)).toMatchObject({ ready: stored.length + 1, active: 0, delayed: 1, dead: 1 })
  })

  test('a hub that dies on it is succeeded at once, with what is held for that', async () => {
    const peer = spawnPeer(root, { name: 'peer', embedded: { dir }, sends: 0, calls: 0, works: false })
    onTestFinished(() => void peer.kill('SIGKILL'))
    await new Promise((resolve) => peer.stdout.once('data', resolve))
    const opened = await start()
    await publishMany(opened, 500)
    await eventually(() => existsSync(join(dir, 'reserve-takeover')))
    current().fill()
    const down = opened.next('down')
    peer.kill('SIGKILL')
    await down
    const deliveries = await take(opened, 1_000)
    await eventually(() => deliveries.length === 500)
    for (const delivery of deliveries) delivery.ack()
    await expect.poll(() => opened.adapter.stats(QUEUE)).toMatchObject({ ready: 0, active: 0 })
    expect(latestEpoch(dir)).toBe(2)
    expect(await publishOne(opened, 'new')).toEqual(REFUSED)
    current().empty()
    await expect.poll(() => publishOne(opened, 'new')).toEqual(STORED)
    await expect.poll(() => readdirSync(dir)).toContain('reserve-takeover')
  })

  test('a hub that dies when nothing is held any more is succeeded as soon as there is room; nothing is lost', async () => {
    const peer = spawnPeer(root, { name: 'peer', embedded: { dir }, sends: 0, calls: 0, works: false })
    onTestFinished(() => void peer.kill('SIGKILL'))
    await new Promise((resolve) => peer.stdout.once('data', resolve))
    const opened = await start()
    await publishMany(opened, 500)
    await eventually(() => existsSync(join(dir, 'reserve-takeover')))
    rmSync(join(dir, 'reserve-takeover'))
    rmSync(join(dir, 'reserve-settling'))
    current().fill()
    peer.kill('SIGKILL')
    await eventually(() => opened.logs.some((line) => line.includes('EMBEDDED_DIAL') && line.includes('ENOSPC')))
    expect(await publishOne(opened, 'new')).toEqual({ status: 'notSent' })
    const up = opened.next('up')
    current().empty()
    await up
    expect(await opened.adapter.stats(QUEUE)).toMatchObject({ ready: 500 })
    expect(await publishOne(opened, 'new')).toEqual(STORED)
  })

  test('hand-overs that could not be recorded do not hide those that follow', async () => {
    const file = join(current().path, 'journal-1')
    const journal = createJournal(file, { grants: new Map(), sessions: new Map(), finished: [] })
    for (let message = 1; message <= 1_000; message++) journal.grant(message, 1, 1)
    journal.flush()
    current().fill()
    for (let message = 1_001; message <= 2_000; message++) journal.grant(message, 1, 1)
    expect(() => journal.flush()).toThrow('ENOSPC')
    current().empty()
    for (let message = 2_001; message <= 3_000; message++) journal.grant(message, 1, 1)
    journal.flush()
    journal.close()
    const { grants } = readJournal(file)
    expect([...grants.keys()].filter((message) => message <= 1_000)).toHaveLength(1_000)
    expect([...grants.keys()].filter((message) => message > 2_000)).toHaveLength(1_000)
  })

  test('hand-overs are recorded again as soon as there is room, the earlier ones too', async () => {
    const opened = await start()
    await publishMany(opened, 2_000)
    current().fill()
    const deliveries = await take(opened, 1_000)
    await eventually(() => deliveries.length === 1_000)
    await eventually(() => opened.logs.some((line) => line.includes('hand-overs cannot be recorded')))
    current().empty()
    await eventually(async () => {
      await publishOne(opened, `new${Math.random()}`)
      return opened.logs.some((line) => line.includes('hand-overs are recorded again'))
    })
    expect(readJournal(join(dir, 'journal-1')).grants.size).toBe(1_000)
  })
})
