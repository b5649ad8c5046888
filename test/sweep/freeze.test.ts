// The hub is frozen past its time-out under load, succeeded, and thaws: it may confirm nothing any more.
import { expect, test } from 'vitest'
import { createRandom, seedOfRun } from '../chaos/random.ts'
import { setScene } from './scene.ts'
import { isFull } from './size.ts'

const ROUNDS = isFull ? 20 : 2
/** At some moment of the load, another one each time. */
const MAX_BYTES_BEFORE = 20_000
const BYTES_BETWEEN = 5_000

test(
  `the hub is frozen and thawed under load ${ROUNDS} times: nothing is lost, no two hubs confirm`,
  { timeout: 60_000 + ROUNDS * 15_000 },
  async () => {
    const seed = seedOfRun()
    const random = createRandom(seed)
    const scene = setScene()
    await scene.host('up')
    await scene.load(['a', 'b'])
    for (let round = 0; round < ROUNDS; round++) {
      await scene.progress(random.upTo(MAX_BYTES_BEFORE))
      await scene.host('frozen')
      const frozen = scene.leaveFrozen()
      await scene.host('up')
      await scene.progress(BYTES_BETWEEN)
      frozen.thaw()
      await scene.progress(BYTES_BETWEEN)
      await scene.host('up')
      await frozen.kill()
    }
    await scene.finish()
    const { confirmed, bad } = await scene.judge()
    console.log(`seed ${seed}: ${confirmed} confirmed`)
    expect(bad).toEqual([])
    expect(confirmed).toBeGreaterThan(100)
  },
)
