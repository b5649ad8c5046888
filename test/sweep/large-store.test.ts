// A store that takes longer to read than others wait for a word of the hub: one takes over, and is waited for.
import { rmSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { latestEpoch } from '../../broker-adapters/embedded/election.ts'
import { watchChild, type Child } from '../chaos/child.ts'
import { messageOf, openEmbedded, QUEUE } from '../support/embedded-adapter.ts'
import { makeDirectory, spawnPeer } from '../support/embedded-processes.ts'
import { isFull } from './size.ts'

const MESSAGES = isFull ? 1_000_000 : 400_000
const BATCH = 1_000
/** Shorter than reading takes; longer than a busy machine keeps a thread from running. */
const SILENCE_MS = 1_000

test(
  `a store of ${MESSAGES} messages is taken over once, although reading it takes longer than the silence that others bear`,
  { timeout: 300_000 },
  async () => {
    const { root, dir } = makeDirectory()
    const embedded = { dir, silenceMs: SILENCE_MS, peerSilenceMs: 60_000 }
    const start = (name: string): Child =>
      watchChild(name, {
        process: spawnPeer(root, { name, embedded, sends: 0, calls: 0, works: false }),
        onStrike: () => {},
      })
    const first = start('first')
    const client = openEmbedded({ dir, host: 'never' })
    const children = [first]
    onTestFinished(async () => {
      await client.adapter.stop()
      await Promise.all(children.map((child) => child.destroy()))
      rmSync(root, { recursive: true, force: true })
    })
    await first.line('up')
    await client.start()
    await client.adapter.declare(QUEUE)
    for (let sent = 0; sent < MESSAGES; sent += BATCH) {
      const batch = Array.from({ length: BATCH }, (_, index) => messageOf(`m${sent + index}`, { type: 'send' }))
      const outcomes = await client.adapter.publish(QUEUE, batch)
      expect(outcomes.every(({ status }) => status === 'stored')).toBe(true)
    }
    const up = client.next('up')
    first.signal('SIGKILL')
    const killedAt = performance.now()
    for (const name of ['second', 'third']) children.push(start(name))
    await up
    console.log(`taken over after ${(performance.now() - killedAt).toFixed(0)} ms, the start of the process included`)
    await Promise.all(children.slice(1).map((child) => child.line('up')))
    expect(await client.adapter.stats(QUEUE)).toMatchObject({ ready: MESSAGES })
    expect(latestEpoch(dir)).toBe(2)
  },
)
