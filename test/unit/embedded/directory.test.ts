import {
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { BrokerAdapter } from '../../../broker-adapters/adapter.ts'
import { hubFile, latestEpoch, readHub, releasedFile } from '../../../broker-adapters/embedded/election.ts'
import { FAULT_VARIABLE } from '../../../broker-adapters/embedded/fault-points.ts'
import type { EmbeddedOptions } from '../../../broker-adapters/embedded/index.ts'
import { thisProcess } from '../../../broker-adapters/embedded/machine.ts'
import { lookAtStore } from '../../../broker-adapters/embedded/store-check.ts'
import { loadLmdb } from '../../../broker-adapters/embedded/store.ts'
import { messageOf, openEmbedded, QUEUE, type Opened } from '../../support/embedded-adapter.ts'
import { makeDirectory } from '../../support/embedded-processes.ts'

const LMDB_MAGIC = Buffer.from([0xde, 0xc0, 0xef, 0xbe])

let root = ''
let dir = ''
const open: BrokerAdapter[] = []

beforeEach(() => {
  const made = makeDirectory()
  root = made.root
  dir = made.dir
})
afterEach(async () => {
  for (const adapter of open.splice(0)) await adapter.stop()
  rmSync(root, { recursive: true, force: true })
})

async function start(more: Partial<EmbeddedOptions> = {}): Promise<Opened> {
  const opened = openEmbedded({ dir, ...more })
  open.push(opened.adapter)
  await opened.start()
  await opened.adapter.declare(QUEUE)
  return opened
}
/** A store with messages in it, closed in order. */
async function fill(count: number): Promise<void> {
  const { adapter } = await start()
  await adapter.publish(
    QUEUE,
    Array.from({ length: count }, (_, index) => messageOf(`m${index}`, { body: new Uint8Array(500) })),
  )
  await adapter.stop()
}
/** As if the last hub had been killed, and was this one. */
function pretendHub(change: Record<string, unknown>): void {
  const epoch = latestEpoch(dir)
  rmSync(releasedFile(dir, epoch), { force: true })
  writeFileSync(hubFile(dir, epoch), JSON.stringify({ ...readHub(dir, epoch), ...change }))
}
function refusal(text: string): unknown {
  return expect.objectContaining({ code: 'BROKER_REFUSED', message: expect.stringContaining(text) as string })
}

test('the directory and what is in it are for its user only', async () => {
  await start()
  expect(statSync(dir).mode & 0o777).toBe(0o700)
  expect(statSync(join(dir, readHub(dir, 1)?.socket ?? '')).mode & 0o777).toBe(0o600)
})

test('what a newer version wrote is refused', async () => {
  await fill(1)
  pretendHub({ format: 99 })
  await expect(start()).rejects.toEqual(refusal('newer version'))
})

test('a store that a newer version wrote is refused, whatever the hub files say', async () => {
  await fill(1)
  const { open: openLmdb } = await loadLmdb()
  const root = openLmdb<Buffer, string>({ path: join(dir, 'store-1'), encoding: 'binary', maxDbs: 12 })
  await root
    .openDB<Buffer, string>('meta', { encoding: 'binary', useVersions: true })
    .put('format', Buffer.from('99'), 1)
  await root.close()
  rmSync(hubFile(dir, 1))
  await expect(start()).rejects.toEqual(refusal('format 99'))
  expect(readdirSync(dir).filter((name) => name.startsWith('damaged'))).toEqual([])
})

test('a store of a newer LMDB is refused, not set aside', async () => {
  await fill(1)
  const file = join(dir, 'store-1', 'data.mdb')
  const data = readFileSync(file)
  for (let at = data.indexOf(LMDB_MAGIC); at >= 0; at = data.indexOf(LMDB_MAGIC, at + 4)) data.writeUInt32LE(3, at + 4)
  writeFileSync(file, data)
  await expect(start()).rejects.toEqual(refusal('newer version of LMDB'))
  expect(readdirSync(dir).filter((name) => name.startsWith('damaged'))).toEqual([])
})

test('a directory of another user is refused', async ({ skip }) => {
  if (process.geteuid?.() !== 0 && process.env['CI'] !== 'true') return skip('only root can give a directory away')
  mkdirSync(dir)
  chownSync(dir, 12_345, 12_345)
  await expect(start()).rejects.toEqual(refusal('belongs to user 12345'))
  expect(readdirSync(dir)).toEqual([])
})

test('what an older version wrote is refused, with what to do', async () => {
  await fill(1)
  pretendHub({ format: 1 })
  await expect(start()).rejects.toEqual(refusal('older version'))
})

test('a path that is no directory is refused', async () => {
  writeFileSync(dir, '')
  await expect(start()).rejects.toEqual(refusal('cannot be used'))
})

test('a directory that another machine has open is refused, until that has been silent for long', async () => {
  await fill(3)
  pretendHub({ bootId: 'other', machineId: 'other' })
  await expect(start()).rejects.toEqual(refusal('another machine'))
  await open.at(-1)?.stop()
  const longAgo = new Date(Date.now() - 31_000)
  utimesSync(hubFile(dir, 1), longAgo, longAgo)
  const { adapter, logs } = await start()
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 3 })
  expect(logs.join('\n')).toContain('snapshot')
})

test('after a reboot of this machine the store is continued at once', async () => {
  await fill(3)
  pretendHub({ bootId: 'before', machineId: thisProcess().machineId })
  const { adapter } = await start()
  // Without a machine id nothing can be proved; then it is as another machine's.
  if (thisProcess().machineId !== '') expect(readHub(dir, 2)?.store).toBe('store-1')
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 3 })
})

test('a hub file that was not written whole is a dead hub, and its store is found', async () => {
  await fill(3)
  writeFileSync(hubFile(dir, 2), '')
  const { adapter } = await start()
  expect(latestEpoch(dir)).toBe(3)
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 3 })
})

test('a weaker durability of the process that keeps the queues is refused', async () => {
  await start({ durability: 'process' })
  await expect(start({ durability: 'disk' })).rejects.toEqual(refusal("durability 'process'"))
  await start({ durability: 'process' })
})

test.each([
  ['cut', (file: string) => truncateSync(file, Math.floor(statSync(file).size / 2))],
  ['overwritten', (file: string) => writeFileSync(file, Buffer.alloc(8192, 7), { flag: 'r+' })],
  ['foreign', (file: string) => writeFileSync(file, 'this is no database')],
])('a store that is %s is set aside and said, rather than opened', async (_name, damage) => {
  await fill(500)
  expect(lookAtStore(join(dir, 'store-1')).problem).toBeUndefined()
  const file = join(dir, 'store-1', 'data.mdb')
  damage(file)
  const size = statSync(file).size
  const { adapter, logs } = await start()
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 0 })
  expect(await adapter.publish(QUEUE, [messageOf('new')])).toEqual([{ status: 'stored' }])
  expect(logs.join('\n')).toContain('damaged')
  const aside = readdirSync(dir).find((name) => name.startsWith('damaged-'))
  expect(readFileSync(join(dir, aside ?? '', 'data.mdb'))).toHaveLength(size)
})

test('a sound store whose file ends before its last page is kept', async () => {
  await fill(20)
  countUnwrittenPages(join(dir, 'store-1'), 3)
  expect(lookAtStore(join(dir, 'store-1'))).toEqual({ problem: undefined, isShort: true })
  const { adapter, logs } = await start()
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 20 })
  expect(logs.join('\n')).not.toContain('damaged')
})

/** As LMDB does by itself after about one in a hundred transactions of a young store, with pages taken and given up in them. */
function countUnwrittenPages(path: string, count: number): void {
  const file = join(path, 'data.mdb')
  const data = readFileSync(file)
  const magic = Buffer.from([0xde, 0xc0, 0xef, 0xbe])
  const first = data.indexOf(magic)
  for (const meta of [first, data.indexOf(magic, first + 1)]) {
    const lastPage = data.readBigUInt64LE(meta + 120)
    data.writeBigUInt64LE(lastPage + BigInt(count), meta + 120)
  }
  writeFileSync(file, data)
}

test('after a reboot a store that is torn inside is found by a process that reads it, and set aside', async () => {
  await fill(2_000)
  pretendHub({ bootId: 'before', machineId: thisProcess().machineId })
  const file = join(dir, 'store-1', 'data.mdb')
  // Everything but the meta pages.
  writeFileSync(
    file,
    Buffer.concat([readFileSync(file).subarray(0, 8192), Buffer.alloc(statSync(file).size - 8192, 7)]),
  )
  expect(lookAtStore(join(dir, 'store-1')).problem).toBeUndefined()
  const { adapter, logs } = await start()
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 0 })
  expect(logs.join('\n')).toContain('damaged: reading it ended with')
})

test('a path that is too long for a socket works', async () => {
  dir = join(root, 'a'.repeat(120))
  mkdirSync(dir, { mode: 0o700 })
  const first = await start()
  const second = await start()
  await first.adapter.publish(QUEUE, [messageOf('m1')])
  expect(await second.adapter.stats(QUEUE)).toMatchObject({ ready: 1 })
})

test('a defect of the thread of the hub does not end its process, and loses nothing', async () => {
  process.env[FAULT_VARIABLE] = '!journal flushed:20'
  const opened = await start().finally(() => delete process.env[FAULT_VARIABLE])
  const { adapter, logs } = opened
  await adapter.publish(QUEUE, [messageOf('m1')])
  let isDown = false
  const down = opened.next('down').then(() => (isDown = true))
  const up = down.then(() => opened.next('up'))
  for (let left = 100; left > 0 && !isDown; left--) await adapter.stats(QUEUE).catch(() => undefined) // until it throws
  await up
  expect(latestEpoch(dir)).toBe(2)
  expect(await adapter.stats(QUEUE)).toMatchObject({ ready: 1 })
  expect(logs.join('\n')).toMatch(/error EMBEDDED_HUB.*a defect at journal flushed/)
})

test('old files are cleaned up', async () => {
  for (let round = 0; round < 6; round++) await fill(1)
  const epochs = readdirSync(dir).filter((name) => name.startsWith('hub-'))
  expect(epochs.length).toBeLessThanOrEqual(3)
  expect(readdirSync(dir).filter((name) => name.endsWith('.sock'))).toEqual([])
})
