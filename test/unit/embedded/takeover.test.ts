import { rmSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { latestEpoch } from '../../../broker-adapters/embedded/election.ts'
import { openEmbedded, QUEUE } from '../../support/embedded-adapter.ts'
import {
  epochAfter,
  hubPid,
  makeDirectory,
  readLedgers,
  startPeer,
  type Peer,
} from '../../support/embedded-processes.ts'

const peers: Peer[] = []
const roots: string[] = []

afterEach(async () => {
  for (const peer of peers.splice(0)) {
    peer.kill('SIGKILL')
    await peer.exited
  }
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
})

function directory(): { root: string; dir: string } {
  const made = makeDirectory()
  roots.push(made.root)
  return made
}
async function start(
  root: string,
  dir: string,
  name: string,
  more: { sends?: number; calls?: number; silenceMs?: number; works?: boolean } = {},
): Promise<Peer> {
  const peer = startPeer(root, {
    name,
    embedded: { dir, silenceMs: more.silenceMs ?? 10_000, peerSilenceMs: more.silenceMs ?? 10_000 },
    sends: more.sends ?? 8,
    calls: more.calls ?? 8,
    works: more.works ?? true,
  })
  peers.push(peer)
  await peer.line('up')
  return peer
}
function hubOf(dir: string): Peer {
  const pid = hubPid(dir)
  const hub = peers.find((peer) => peer.pid === pid)
  if (hub === undefined) throw new Error(`no peer is the hub (${pid})`)
  return hub
}
async function finish(all: readonly Peer[]): Promise<void> {
  for (const peer of all) peer.tell('finish')
  await Promise.all(all.map((peer) => peer.line('finished')))
}
function alive(): Peer[] {
  return peers.filter(({ process }) => process.exitCode === null && process.signalCode === null)
}
/** Runs what is left and ends the directory's last process. */
async function drain(dir: string): Promise<{ ready: number; active: number | undefined }> {
  const last = openEmbedded({ dir })
  await last.start()
  try {
    for (;;) {
      const { ready, active, delayed } = await last.adapter.stats(QUEUE)
      if (ready + (active ?? 0) + (delayed ?? 0) === 0) return { ready, active }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  } finally {
    await last.adapter.stop()
  }
}

test('kill -9 of the process of the hub, under load, loses nothing', async () => {
  const { root, dir } = directory()
  for (const name of ['a', 'b', 'c']) await start(root, dir, name)
  for (let round = 0; round < 5; round++) {
    const epoch = latestEpoch(dir)
    await new Promise((resolve) => setTimeout(resolve, 400))
    const hub = hubOf(dir)
    hub.kill('SIGKILL')
    await hub.exited
    await epochAfter(dir, epoch)
    await start(root, dir, `r${round}`)
  }
  await finish(alive())
  await drain(dir)
  const { confirmed, ran, outages, odd } = readLedgers(root)
  const lost = [...confirmed].filter((id) => !ran.has(id))
  const twice = [...ran.values()].filter((count) => count > 1).length
  console.log(
    `${confirmed.size} confirmed, ${ran.size} ran, ${twice} twice, outages ${outages.filter((ms) => ms > 0).join(' ')}`,
  )
  expect(lost).toEqual([])
  expect(odd).toEqual([])
  expect(confirmed.size).toBeGreaterThan(500)
}, 60_000)

test('a hub that is frozen is succeeded, and thaws as one of the others; nothing is lost', async () => {
  const { root, dir } = directory()
  for (const name of ['a', 'b', 'c']) await start(root, dir, name, { silenceMs: 800 })
  await new Promise((resolve) => setTimeout(resolve, 500))
  const epoch = latestEpoch(dir)
  const hub = hubOf(dir)
  hub.kill('SIGSTOP')
  await epochAfter(dir, epoch)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  hub.kill('SIGCONT')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  await finish(peers)
  await drain(dir)
  const { confirmed, ran, outages, odd } = readLedgers(root)
  console.log(`${confirmed.size} confirmed, ${ran.size} ran, outages ${outages.filter((ms) => ms > 0).join(' ')}`)
  expect([...confirmed].filter((id) => !ran.has(id))).toEqual([])
  expect(odd).toEqual([])
}, 60_000)

test('the process of the hub exits in order: the next one has the same store at once', async () => {
  const { root, dir } = directory()
  for (const name of ['a', 'b']) await start(root, dir, name)
  await new Promise((resolve) => setTimeout(resolve, 300))
  const epoch = latestEpoch(dir)
  const hub = hubOf(dir)
  hub.tell('exit')
  expect(await hub.exited).toBe(0)
  await epochAfter(dir, epoch)
  await finish(alive())
  await drain(dir)
  const { confirmed, ran, odd } = readLedgers(root)
  expect([...confirmed].filter((id) => !ran.has(id))).toEqual([])
  expect(odd).toEqual([])
}, 30_000)

test('a hub that is closed under load hands over, loses nothing, and its process ends by itself', async () => {
  const { root, dir } = directory()
  for (const name of ['a', 'b']) await start(root, dir, name)
  await new Promise((resolve) => setTimeout(resolve, 300))
  const epoch = latestEpoch(dir)
  const hub = hubOf(dir)
  hub.tell('stop')
  await hub.line('stopped')
  expect(await epochAfter(dir, epoch)).toBe(epoch + 1)
  await finish(alive().filter((peer) => peer !== hub))
  await drain(dir)
  const { confirmed, ran } = readLedgers(root)
  expect([...confirmed].filter((id) => !ran.has(id))).toEqual([])
}, 30_000)

test('the process of a closed hub ends by itself', async () => {
  const { root, dir } = directory()
  const hub = await start(root, dir, 'a', { calls: 0, sends: 0 })
  hub.tell('stop')
  expect(await hub.exited).toBe(0)
}, 30_000)
