import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HOME, type TestBroker } from './broker.ts'
import { installPackages } from './packages.ts'

/** Whose it is decides what may be done to it. */
export type Origin = 'given' | 'compose' | 'package'

export interface Running {
  readonly url: string
  readonly origin: Origin
  /** Of a package that we started. */
  readonly nodes?: number
  /** Of a package that we started. */
  readonly facts?: unknown
}

export interface BringUpOptions {
  readonly mayInstall: boolean
  /** Several are never those of `docker compose`. @default as many as run, else 1 */
  readonly nodes?: number | undefined
}

/**
 * The one that is there, or a new one: given by its variable, by `docker compose` where an engine runs, else the system's
 * package, which is installed first if that is allowed. Throws with a sentence that says what to do.
 */
export async function bringUp(broker: TestBroker, { mayInstall, nodes }: BringUpOptions): Promise<Running> {
  const known = whatRuns(broker)
  if (known !== undefined && nodes !== undefined && nodes !== known.nodes)
    throw new Error(`another one is up, ${known.url}: 'npm run brokers -- down ${broker.name}' first, if it is ours`)
  if (known !== undefined) return known
  mkdirSync(HOME, { recursive: true })
  if ((nodes ?? 1) === 1 && hasEngine()) {
    compose('up', '--detach', '--wait', broker.service)
    return remember(broker, { url: broker.composeUrl, origin: 'compose' })
  }
  if (!broker.isInstalled()) {
    const otherwise = `or 'npm run brokers -- up ${broker.name} --install', start Docker, or name a server in ${broker.variable}`
    installPackages(broker.packages, { mayInstall, what: broker.name, otherwise })
  }
  const facts = await broker.start(join(HOME, `${broker.name}-${process.pid}`), { nodes: nodes ?? 1 })
  return remember(broker, { url: facts.url, origin: 'package', nodes: nodes ?? 1, facts })
}

/** Ends what `bringUp` started, also in another process. False: nothing of ours runs. */
export async function takeDown(broker: TestBroker): Promise<boolean> {
  const running = read(broker)
  if (running === undefined) return false
  if (running.origin === 'compose') compose('rm', '--stop', '--force', '--volumes', broker.service)
  else await broker.stop(running.facts)
  rmSync(stateFile(broker), { force: true })
  return true
}

/** Undefined: none is known, or the one that was is gone. */
export function whatRuns(broker: TestBroker): Running | undefined {
  const url = process.env[broker.variable]
  if (url !== undefined && url !== '') return { url, origin: 'given' }
  const running = read(broker)
  if (running === undefined || running.origin === 'compose') return running
  return broker.isRunning(running.facts) ? running : undefined
}

function hasEngine(): boolean {
  const { status } = spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 10_000 })
  return status === 0
}

function compose(...args: readonly string[]): void {
  execFileSync('docker', ['compose', ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
}

function stateFile({ name }: TestBroker): string {
  return join(HOME, `${name}.json`)
}

function remember(broker: TestBroker, running: Running): Running {
  writeFileSync(stateFile(broker), `${JSON.stringify(running, undefined, 2)}\n`)
  return running
}

function read(broker: TestBroker): Running | undefined {
  try {
    return JSON.parse(readFileSync(stateFile(broker), 'utf8')) as Running // written by `remember`
  } catch {
    return undefined
  }
}
