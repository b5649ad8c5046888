import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { begunCalls, heldCalls } from './ledger.ts'

const START_LIMIT_MS = 30_000
const DRAIN_LIMIT_MS = 15_000
/** After SIGSTOP, until no thread of the process runs. */
const FREEZE_MS = 30
const HUNT_LIMIT_MS = 5_000

export interface DemoWorker {
  readonly name: string
  readonly pid: number
  readonly ledgerPath: string
  /** For people: 'running', 'killed (SIGKILL)', 'drained', … */
  state(): string
}

export interface Killed {
  readonly name: string
  readonly pid: number
  /** Ids of the calls that it ran when it was killed. */
  readonly held: ReadonlySet<string>
  /** Ids of all calls that it ever began. */
  readonly begun: ReadonlySet<string>
}

export interface DemoWorkers {
  readonly all: readonly DemoWorker[]
  /** Resolves when each of them consumes; rejects if one ends or takes too long. */
  ready(): Promise<void>
  /** Kills one that runs calls at this moment; undefined if none did within 5 s or before `isOver`. */
  killOneAtWork(isOver: () => boolean): Promise<Killed | undefined>
  /** Lets them drain; kills what does not go. Returns what went wrong. */
  end(): Promise<readonly string[]>
  /** At once, without asking. */
  kill(): void
}

export interface WorkerPlace {
  readonly broker: string
  readonly group: string
  readonly dir: string
}

interface Member extends DemoWorker {
  readonly child: ChildProcess
  readonly ready: Promise<void>
  readonly exited: Promise<void>
  isKilled: boolean
}

export function startWorkers(count: number, place: WorkerPlace): DemoWorkers {
  const members = Array.from({ length: count }, (_, index) => startWorker(`worker-${index + 1}`, place))
  let ending: Promise<readonly string[]> | undefined
  return {
    all: members,
    async ready() {
      const limit = sleep(START_LIMIT_MS, 'late', { ref: false })
      const started = Promise.all(members.map((member) => member.ready))
      if ((await Promise.race([started, limit])) === 'late') throw new Error('the workers did not start')
    },
    killOneAtWork: (isOver) => killOneAtWork(members, isOver),
    end: () => (ending ??= Promise.all(members.map(endWorker)).then((problems) => problems.flat())),
    kill() {
      for (const { child } of members) child.kill('SIGKILL')
    },
  }
}

function startWorker(name: string, { broker, group, dir }: WorkerPlace): Member {
  const ledgerPath = join(dir, `${name}.ledger`)
  const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [broker, group, name, ledgerPath])
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
  const ready = new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve())
    void exited.then(() => reject(new Error(`${name} (pid ${child.pid}) ended before it was ready`)))
  })
  ready.catch(() => undefined) // told to those who wait for it
  const member: Member = {
    name,
    pid: child.pid ?? 0,
    ledgerPath,
    child,
    ready,
    exited,
    isKilled: false,
    state: () => stateOf(child, member.isKilled),
  }
  return member
}

function stateOf({ exitCode, signalCode }: ChildProcess, isKilled: boolean): string {
  if (signalCode !== null) return isKilled ? `killed (${signalCode})` : `ended by ${signalCode}`
  if (exitCode !== null) return exitCode === 0 ? 'drained' : `ended with ${exitCode}`
  return 'running'
}

/** Stops a worker before it looks what it holds, so that what is told is what it held when it died. */
async function killOneAtWork(members: readonly Member[], isOver: () => boolean): Promise<Killed | undefined> {
  const until = performance.now() + HUNT_LIMIT_MS
  while (performance.now() < until && !isOver()) {
    for (const member of members) {
      if (heldCalls(member.ledgerPath).size === 0) continue
      freeze(member.child)
      await sleep(FREEZE_MS)
      const held = heldCalls(member.ledgerPath)
      if (held.size > 0) {
        member.isKilled = true
        process.kill(member.pid, 'SIGKILL')
        await member.exited
        return { name: member.name, pid: member.pid, held, begun: begunCalls(member.ledgerPath) }
      }
      member.child.kill('SIGCONT')
    }
    await sleep(1)
  }
  return undefined
}

function freeze(child: ChildProcess): void {
  if (process.platform !== 'win32') child.kill('SIGSTOP') // which Windows lacks: there the count may be one too high
}

async function endWorker(member: Member): Promise<readonly string[]> {
  const { child, name, pid, exited } = member
  child.kill('SIGTERM')
  const isLate = (await Promise.race([exited, sleep(DRAIN_LIMIT_MS, 'late', { ref: false })])) === 'late'
  if (isLate) {
    child.kill('SIGKILL')
    await exited
    return [`${name} (pid ${pid}) did not drain within ${DRAIN_LIMIT_MS / 1000} s and was killed`]
  }
  const isAsMeant = member.isKilled || child.exitCode === 0
  return isAsMeant ? [] : [`${name} (pid ${pid}): ${stateOf(child, false)}`]
}
