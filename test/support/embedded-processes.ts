// Starts embedded-peer.ts in processes of its own, and reads their ledgers.
import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { latestEpoch, readHub } from '../../broker-adapters/embedded/election.ts'
import type { PeerOptions } from './embedded-peer.ts'

export interface Peer {
  readonly name: string
  readonly pid: number
  readonly process: ChildProcess
  /** Resolves when it prints this line. */
  line(text: string): Promise<void>
  tell(text: 'finish' | 'exit' | 'stop'): void
  kill(signal: NodeJS.Signals): void
  readonly exited: Promise<number | null>
}

export interface Confirm {
  readonly id: string
  /** Of the hub that confirmed it. */
  readonly epoch: number
  /** On the clock that all processes share. */
  readonly issuedAt: number
  readonly confirmedAt: number
}

export interface Ledger {
  readonly confirmed: Set<string>
  readonly confirms: Confirm[]
  readonly answered: Set<string>
  /** How often each id was run. */
  readonly ran: Map<string, number>
  /** Milliseconds from down to up, of all processes. */
  readonly outages: number[]
  /** Everything else: refusals, unhandled rejections. */
  readonly odd: string[]
}

/** Node 20 runs no TypeScript, so the program is the compiled one. */
const PROGRAM = fileURLToPath(
  new URL(
    import.meta.url.endsWith('.ts') ? '../../dist/test/support/embedded-peer.js' : './embedded-peer.js',
    import.meta.url,
  ),
)

export function makeDirectory(): { readonly root: string; readonly dir: string } {
  const root = mkdtempSync(join(tmpdir(), 'replyto-embedded-'))
  return { root, dir: join(root, 'broker') }
}

/**
 * Its ledger is `<root>/<name>.ledger`; what it says on stderr is for the caller to read.
 * @param more.within a command that runs the rest of its line somewhere else
 */
export function spawnPeer(
  root: string,
  options: Omit<PeerOptions, 'ledger'>,
  more: {
    env?: Readonly<Record<string, string>> | undefined
    within?: readonly [string, ...string[]] | undefined
  } = {},
): ChildProcessWithoutNullStreams {
  const ledger = join(root, `${options.name}.ledger`)
  const command = [process.execPath, PROGRAM, JSON.stringify({ ...options, ledger })] as const
  const [program, ...args] = more.within === undefined ? command : ([...more.within, ...command] as const)
  return spawn(program, args, { env: { ...process.env, ...more.env } })
}

export function startPeer(root: string, options: Omit<PeerOptions, 'ledger'>): Peer {
  const child = spawnPeer(root, options)
  child.stderr.pipe(process.stderr)
  const seen: string[] = []
  const waiting: { readonly text: string; readonly resolve: () => void }[] = []
  createInterface({ input: child.stdout }).on('line', (text) => {
    seen.push(text)
    for (const one of waiting) if (one.text === text) one.resolve()
  })
  return {
    name: options.name,
    pid: child.pid ?? 0,
    process: child,
    line: (text) =>
      seen.includes(text) ? Promise.resolve() : new Promise((resolve) => waiting.push({ text, resolve })),
    tell: (text) => void child.stdin.write(`${text}\n`),
    kill: (signal) => void child.kill(signal),
    exited: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
  }
}

/** The process id of the hub of this directory. */
export function hubPid(dir: string): number {
  return readHub(dir, latestEpoch(dir))?.pid ?? 0
}

/** Resolves when there is a later hub. */
export async function epochAfter(dir: string, epoch: number): Promise<number> {
  while (latestEpoch(dir) <= epoch) await new Promise((resolve) => setTimeout(resolve, 2))
  return latestEpoch(dir)
}

export function readLedgers(root: string): Ledger {
  const all: Ledger = { confirmed: new Set(), confirms: [], answered: new Set(), ran: new Map(), outages: [], odd: [] }
  for (const name of readdirSync(root).filter((file) => file.endsWith('.ledger'))) {
    for (const line of readFileSync(join(root, name), 'utf8').split('\n')) readLine(line, all)
  }
  return all
}

/**
 * Publishes that an earlier hub confirmed although they were made after a later one's first confirmation: two hubs that
 * confirm. One that was merely read late was made before.
 */
export function confirmedByTwo(confirms: readonly Confirm[]): Confirm[] {
  const firstOf = new Map<number, number>()
  for (const { epoch, confirmedAt } of confirms) {
    firstOf.set(epoch, Math.min(confirmedAt, firstOf.get(epoch) ?? Infinity))
  }
  // For each epoch the earliest confirmation of any later one.
  const endOf = new Map<number, number>()
  let earliest = Infinity
  for (const epoch of [...firstOf.keys()].toSorted((a, b) => b - a)) {
    endOf.set(epoch, earliest)
    earliest = Math.min(earliest, firstOf.get(epoch) ?? Infinity)
  }
  return confirms.filter(({ epoch, issuedAt }) => issuedAt > (endOf.get(epoch) ?? Infinity))
}

function readLine(line: string, all: Ledger): void {
  const [kind, value = '', ...rest] = line.split(' ')
  if (kind === 'confirmed') {
    const [epoch = 0, issuedAt = 0, confirmedAt = 0] = rest.map(Number)
    all.confirmed.add(value)
    all.confirms.push({ id: value, epoch, issuedAt, confirmedAt })
  } else if (kind === 'answered') all.answered.add(value)
  else if (kind === 'ran') all.ran.set(value, (all.ran.get(value) ?? 0) + 1)
  else if (kind === 'up') all.outages.push(Number(value))
  else if (line !== '' && kind !== 'down' && kind !== 'gone') all.odd.push(line)
}
