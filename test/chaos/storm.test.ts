import { expect, test } from 'vitest'
import { latestEpoch } from '../../broker-adapters/embedded/election.ts'
import { eventually } from '../support/eventually.ts'
import type { Child } from './child.ts'
import { judge, type Verdict } from './judge.ts'
import { setStage, type Stage } from './processes.ts'
import { createRandom, seedOfRun, type Random } from './random.ts'

// Calls of every kind, and one strike after the other against processes that a seed draws. REPLYTO_CHAOS_SEED=<n> draws
// the same again.

type Role = 'worker' | 'client' | 'keeper'
const CAST: readonly Role[] = ['worker', 'worker', 'worker', 'client', 'client', 'keeper']
const KILLS = 9
const MIXED = 6

interface Troupe {
  readonly stage: Stage
  readonly random: Random
  readonly living: Map<Child, Role>
  /** A client that nobody strikes. */
  readonly survivor: Child
  last: number
}

async function raise(random: Random): Promise<Troupe> {
  const stage = setStage()
  const survivor = stage.client({
    name: 'survivor',
    seed: random.upTo(2 ** 32),
    embedded: { ...stage.embedded, host: 'never' },
  })
  const troupe: Troupe = { stage, random, living: new Map(), survivor, last: 0 }
  await Promise.all(CAST.map((role) => enter(troupe, role)))
  await survivor.line('ready')
  await troupe.stage.ledger.answered(50)
  return troupe
}

async function enter(troupe: Troupe, role: Role): Promise<void> {
  const { stage, random, living } = troupe
  const name = `p${++troupe.last}`
  const seed = random.upTo(2 ** 32)
  const load = role === 'client' ? { seed } : { calls: 0, sends: 0 }
  const child = role === 'worker' ? stage.worker({ runs: true }) : stage.client({ name, ...load })
  living.set(child, role)
  await child.line('ready')
}

function draw({ stage, random, living }: Troupe): Child {
  return random.upTo(3) === 0 ? stage.hub() : random.pick([...living.keys()])
}

/** At once; then others of their kinds take their places. */
async function leave(troupe: Troupe, children: readonly Child[], signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  for (const child of children) child.signal(signal)
  for (const child of children) expect(await child.ended()).toBe(signal === 'SIGTERM' ? 0 : null)
  const roles = children.map((child) => troupe.living.get(child) ?? 'keeper')
  for (const child of children) troupe.living.delete(child)
  await Promise.all(roles.map((role) => enter(troupe, role)))
}

/** Mostly one; the hub with another one; all. */
function drawVictims(troupe: Troupe): readonly Child[] {
  const how = troupe.random.upTo(8)
  if (how === 0) return [...troupe.living.keys()]
  if (how <= 2) return [...new Set([troupe.stage.hub(), draw(troupe)])]
  return [draw(troupe)]
}

/** Long enough that others give it up; a third of them dies of it. */
async function freeze(troupe: Troupe, child: Child): Promise<void> {
  const { stage } = troupe
  const isHub = child === stage.hub()
  const epoch = latestEpoch(stage.embedded.dir)
  const until = performance.now() + (stage.embedded.peerSilenceMs ?? 0) + 300
  child.signal('SIGSTOP')
  if (isHub)
    await eventually(() => latestEpoch(stage.embedded.dir) > epoch, { what: 'there is another hub', within: 15_000 })
  else await eventually(() => performance.now() > until, { what: 'its silence is over' })
  await stage.ledger.answered(20)
  if (troupe.random.upTo(3) === 0) await leave(troupe, [child], 'SIGKILL')
  else child.signal('SIGCONT')
}

async function end({ stage, living, survivor }: Troupe): Promise<Verdict> {
  await stage.ledger.answered(50)
  const clients = [survivor, ...[...living].filter(([, role]) => role === 'client').map(([child]) => child)]
  for (const client of clients) client.tell('finish')
  await Promise.all(clients.map((client) => client.line('finished')))
  const verdict = await judge(stage)
  console.log(`calls ${JSON.stringify(verdict.ends)}, ${verdict.sent} sends, ${verdict.again.length} run again`)
  return verdict
}

const seed = seedOfRun()

test(`kills (REPLYTO_CHAOS_SEED=${seed})`, async () => {
  const troupe = await raise(createRandom(seed))
  for (let strike = 0; strike < KILLS; strike++) {
    await troupe.stage.ledger.answered(troupe.random.upTo(60))
    await leave(troupe, drawVictims(troupe), 'SIGKILL')
  }
  expect((await end(troupe)).unexplained).toEqual([])
})

test(`kills, freezes and drains (REPLYTO_CHAOS_SEED=${seed})`, async () => {
  const troupe = await raise(createRandom(seed + 1))
  for (let strike = 0; strike < MIXED; strike++) {
    await troupe.stage.ledger.answered(troupe.random.upTo(60))
    const child = draw(troupe)
    const kind = troupe.random.upTo(3)
    if (kind === 0) await freeze(troupe, child)
    else await leave(troupe, [child], kind === 1 && troupe.living.get(child) === 'worker' ? 'SIGTERM' : 'SIGKILL')
  }
  expect((await end(troupe)).unexplained).toEqual([])
})
