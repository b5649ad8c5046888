// One directory, processes that load it and never are its hub, and one after the other that is, until it is killed.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { FAULT_VARIABLE, type FaultPoint } from '../../broker-adapters/embedded/fault-points.ts'
import type { EmbeddedOptions } from '../../broker-adapters/embedded/index.ts'
import { watchChild, type Child } from '../chaos/child.ts'
import { KEPT } from '../support/embedded-adapter.ts'
import { confirmedByTwo, hubPid, makeDirectory, readLedgers, spawnPeer } from '../support/embedded-processes.ts'
import { eventually } from '../support/eventually.ts'
import { drain, takeAll } from './drain.ts'

export interface Victim {
  isUp(): Promise<void>
  /** It has a thread ready to become the hub. */
  standsBy(): Promise<void>
  close(): void
  /** Resolves when it was killed at its place; rejects if it was not. */
  died(): Promise<void>
}

export interface Scene {
  readonly root: string
  readonly dir: string
  /** Makes processes publish, call and work. */
  load(names: readonly string[]): Promise<void>
  /** There is a hub, in a process that lives. */
  host(state: 'up' | 'frozen'): Promise<void>
  killHost(): Promise<void>
  /** Lets the frozen one be: the next `host` is another. Thaw and end it with what this gives. */
  leaveFrozen(): { thaw(): void; kill(): Promise<void> }
  /** The load has so many more bytes of ledger: it goes on. */
  progress(bytes: number): Promise<void>
  victim(point: FaultPoint, passing?: number): Victim
  /** How many have died where they were to. */
  kills(): number
  /** Takes what was sent so far out of its queue. The hub must be up. */
  collect(): Promise<void>
  /** The load ends, and each of its calls is answered; nobody is the hub any more. */
  finish(): Promise<void>
  /** What was confirmed and neither ran nor was found in its queue; what two hubs confirmed; anything odd. */
  judge(): Promise<{ readonly confirmed: number; readonly bad: readonly unknown[] }>
}

const SILENCE_MS = 600

export function setScene(): Scene {
  const { root, dir } = makeDirectory()
  const children: Child[] = []
  const loads: Child[] = []
  const collected = new Set<string>()
  let current: Child | undefined
  let kills = 0
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(children.map((child) => child.describe()).join('\n'))
    await Promise.all(children.map((child) => child.destroy()))
    rmSync(root, { recursive: true, force: true })
  })

  function start(name: string, host: 'auto' | 'never', env?: Readonly<Record<string, string>>): Child {
    const works = host === 'never'
    const clocks = { silenceMs: SILENCE_MS, peerSilenceMs: 10_000 }
    // A hub that thaws has what its own process has sent: it must not confirm that.
    const lanes = { sends: env === undefined ? 3 : 0, calls: works ? 3 : 0, pauseMs: 2 }
    const options = { name, embedded: { dir, host, ...clocks }, works, keeps: true, ...lanes }
    const child = watchChild(name, { process: spawnPeer(root, options, { env }), onStrike: () => {} })
    children.push(child)
    return child
  }
  async function kill(child: Child | undefined): Promise<void> {
    child?.signal('SIGKILL')
    await child?.ended()
  }
  async function killHost(): Promise<void> {
    const killed = current
    current = undefined
    await kill(killed)
  }
  async function collect(options: EmbeddedOptions): Promise<void> {
    for (const id of await takeAll(options, KEPT)) collected.add(id)
  }
  function ledgerBytes(): number {
    return loads.reduce((sum, { name }) => sum + statSync(join(root, `${name}.ledger`)).size, 0)
  }

  return {
    root,
    dir,
    async load(names) {
      for (const name of names) loads.push(start(name, 'never'))
      await Promise.all(loads.map((child) => child.line('up')))
    },
    async host(state) {
      current ??= start(`host${children.length}`, 'auto')
      await current.line('up')
      expect(hubPid(dir)).toBe(current.pid)
      if (state === 'frozen') current.signal('SIGSTOP')
    },
    killHost,
    leaveFrozen() {
      const frozen = current
      current = undefined
      return { thaw: () => frozen?.signal('SIGCONT'), kill: () => kill(frozen) }
    },
    async progress(bytes) {
      const goal = ledgerBytes() + bytes
      await eventually(() => ledgerBytes() >= goal, { what: 'the load goes on', within: 15_000 })
    },
    victim(point, passing = 1) {
      const name = `victim${children.length}`
      const child = start(name, 'auto', { [FAULT_VARIABLE]: `${point}:${passing}` })
      child.expectEnd()
      return {
        async isUp() {
          await child.line('up')
        },
        async standsBy() {
          await child.line('up')
          const isReady = (): boolean => readdirSync(dir).some((file) => file.startsWith(`s-${child.pid}-`))
          await eventually(isReady, { what: `${name} stands by` })
        },
        close: () => child.tell('stop'),
        async died() {
          expect(await child.ended()).toBeNull()
          expect(child.describe()).toContain(`killed at ${point}`)
          kills++
        },
      }
    },
    kills: () => kills,
    collect: () => collect({ dir, host: 'never', silenceMs: SILENCE_MS }),
    async finish() {
      const all = current === undefined ? loads : [...loads, current]
      for (const child of all) child.tell('finish')
      await Promise.all(all.map((child) => child.line('finished')))
      await killHost()
    },
    async judge() {
      await drain(dir)
      await collect({ dir })
      const { confirmed, confirms, ran, odd } = readLedgers(root)
      const lost = [...confirmed].filter((id) => !ran.has(id) && !collected.has(id))
      return { confirmed: confirmed.size, bad: [...lost, ...confirmedByTwo(confirms), ...odd] }
    },
  }
}
