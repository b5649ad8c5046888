// Containers that share a directory: other networks, other process ids.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { latestEpoch, readHub } from '../../../broker-adapters/embedded/election.ts'
import { watchChild, type Child } from '../../chaos/child.ts'
import { openEmbedded, QUEUE, type Opened } from '../../support/embedded-adapter.ts'
import { epochAfter, makeDirectory, readLedgers, spawnPeer } from '../../support/embedded-processes.ts'
import { eventually } from '../../support/eventually.ts'

type Command = readonly [string, ...string[]]
const OTHER_NETWORK: Command = ['unshare', '--net']
/** The inner process dies with the outer one, which is all that can be killed from here. */
const OTHER_PIDS: Command = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']

let root = ''
let dir = ''
const children: Child[] = []

beforeEach(({ skip }) => {
  const [program, ...args] = OTHER_PIDS
  const { status, stderr } = spawnSync(program, [...args, 'true'], { encoding: 'utf8' })
  if (status !== 0) {
    if (process.env['CI'] === 'true') throw new Error(`unshare: ${stderr}`)
    console.log('no namespaces can be made here, so their tests are skipped')
    return skip('unshare is not permitted')
  }
  const made = makeDirectory()
  root = made.root
  dir = made.dir
})
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.destroy()))
  if (root !== '') rmSync(root, { recursive: true, force: true })
})

async function start(name: string, within?: Command): Promise<Child> {
  const embedded = { dir, silenceMs: 5_000, peerSilenceMs: 5_000 }
  const options = { name, embedded, sends: 2, calls: 2, works: true, pauseMs: 2 }
  const child = watchChild(name, { process: spawnPeer(root, options, { within }), onStrike: () => {} })
  children.push(child)
  await child.line('up')
  return child
}
async function progress(count: number): Promise<void> {
  const goal = readLedgers(root).answered.size + count
  await eventually(() => readLedgers(root).answered.size >= goal, { what: 'calls are answered', within: 20_000 })
}
async function judge(all: readonly Child[]): Promise<Opened> {
  for (const child of all) child.tell('finish')
  await Promise.all(all.map((child) => child.line('finished')))
  const last = openEmbedded({ dir })
  await last.start()
  await expect.poll(() => last.adapter.stats(QUEUE), { timeout: 20_000 }).toMatchObject({ ready: 0, active: 0 })
  const { confirmed, ran, odd } = readLedgers(root)
  expect([...confirmed].filter((id) => !ran.has(id))).toEqual([])
  expect(odd).toEqual([])
  await last.adapter.stop()
  return last
}

test('processes of two networks share a directory, and take over from each other', async () => {
  const first = await start('first')
  const other = await start('other', OTHER_NETWORK)
  await progress(20)
  first.signal('SIGKILL')
  await epochAfter(dir, 1)
  const third = await start('third')
  await progress(20)
  expect(readHub(dir, latestEpoch(dir))?.store).toBe('store-1')
  other.signal('SIGKILL')
  await epochAfter(dir, 2)
  await progress(20)
  await judge([third])
})

test.each([
  ['here', undefined, OTHER_PIDS],
  ['there', OTHER_PIDS, undefined],
])(
  'of two sets of process ids: a hub %s that is killed cannot be proved dead, so its successor takes a snapshot',
  async (_where, hubWithin, otherWithin) => {
    const hub = await start('hub', hubWithin)
    const other = await start('other', otherWithin)
    await progress(20)
    const before = readHub(dir, 1)
    hub.signal('SIGKILL')
    await epochAfter(dir, 1)
    const next = readHub(dir, 2)
    expect(next?.pidNamespace).not.toBe(before?.pidNamespace)
    expect(next).toMatchObject({ store: 'store-2', from: 'store-1' })
    await progress(20)
    await judge([other])
  },
)

test('of two sets of process ids: a hub that closes in order is continued, not copied', async () => {
  const hub = await start('hub')
  const other = await start('other', OTHER_PIDS)
  await progress(20)
  hub.tell('stop')
  await epochAfter(dir, 1)
  expect(readHub(dir, 2)).toMatchObject({ store: 'store-1', from: '' })
  await progress(20)
  await judge([other])
})
