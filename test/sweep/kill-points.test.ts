// The hub is killed at each named place, again and again, under load: nothing that was confirmed is lost.
import { expect, test } from 'vitest'
import { FAULT_POINTS, type FaultPoint } from '../../broker-adapters/embedded/fault-points.ts'
import { createRandom, seedOfRun, type Random } from '../chaos/random.ts'
import { isFull } from './size.ts'
import { setScene, type Scene } from './scene.ts'

/** How the victim, which alone may be the hub, comes to its place. */
type Way = 'taking over' | 'at work' | 'closing' | 'after a frozen one' | 'standing by'

const WAYS: Readonly<Record<FaultPoint, Way>> = {
  'intent taken': 'taking over',
  'before listen': 'taking over',
  'after listen': 'taking over',
  'stand-by promoted': 'standing by',
  'before link': 'taking over',
  'after link': 'taking over',
  'snapshot written': 'after a frozen one',
  'snapshot renamed': 'after a frozen one',
  'store opened': 'taking over',
  'store claimed': 'taking over',
  'store loaded': 'taking over',
  'journal written': 'taking over',
  'journal renamed': 'taking over',
  'half cleaned up': 'taking over',
  'before commit': 'at work',
  'commit begun': 'at work',
  'commit stored': 'at work',
  'journal flushed': 'at work',
  'confirm sent': 'at work',
  'close begun': 'closing',
  'store closed': 'closing',
  'release marked': 'closing',
}
const ROUNDS = isFull ? 20 : 1
const MAX_PASSINGS = 60

test(
  `kill -9 at each of ${FAULT_POINTS.length} places, ${ROUNDS} times: nothing is lost, no two hubs confirm`,
  { timeout: 60_000 + ROUNDS * 120_000 },
  async () => {
    const seed = seedOfRun()
    const random = createRandom(seed)
    const scene = setScene()
    await scene.host('up')
    await scene.load(['a', 'b'])
    for (let round = 0; round < ROUNDS; round++) {
      for (const point of shuffled(FAULT_POINTS, random)) await killAt(scene, point, random.upTo(MAX_PASSINGS) + 1)
      await scene.host('up')
      await scene.collect()
      if (isFull) console.log(`round ${round + 1} of ${ROUNDS}`)
    }
    await scene.host('up')
    await scene.finish()
    const { confirmed, bad } = await scene.judge()
    console.log(`seed ${seed}: ${scene.kills()} kills, ${confirmed} confirmed`)
    expect(bad).toEqual([])
    expect(confirmed).toBeGreaterThan(100)
    expect(scene.kills()).toBe(FAULT_POINTS.length * ROUNDS)
  },
)

async function killAt(scene: Scene, point: FaultPoint, passing: number): Promise<void> {
  switch (WAYS[point]) {
    case 'taking over': {
      await scene.killHost()
      return scene.victim(point).died()
    }
    case 'at work': {
      await scene.killHost()
      return scene.victim(point, passing).died()
    }
    case 'closing': {
      await scene.killHost()
      const victim = scene.victim(point)
      await victim.isUp()
      victim.close()
      return victim.died()
    }
    case 'standing by': {
      await scene.host('up')
      const victim = scene.victim(point)
      await victim.standsBy()
      await scene.killHost()
      return victim.died()
    }
    case 'after a frozen one': {
      await scene.host('frozen')
      await scene.victim(point).died()
      return scene.killHost()
    }
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = [...items]
  return items.flatMap(() => rest.splice(random.upTo(rest.length), 1))
}
