import { setTimeout as sleep } from 'node:timers/promises'
import type { DiskSpace } from './disk-space.ts'
import { passFaultPoint } from './fault-points.ts'
import type { NamedTable, Store, Table, Write } from './store.ts'

/** Collects writes into transactions, one at a time; what comes while one is under way is the next. */
export interface GroupCommit {
  put(table: Table, sequence: number, value: Buffer): void
  /** Cancels a put of the same group. */
  remove(table: Table, sequence: number): void
  putName(table: NamedTable, name: string, value: Buffer | undefined): void
  /**
   * Runs in order once everything written so far in this group is stored, and only then. Asks for the commit to be soon.
   * With `refuse` it may be that instead, if the disk is full: it returns the messages that are not to be stored.
   */
  afterwards(effect: () => void, refuse?: () => readonly number[]): void
  /** The same for effects that nobody waits for: they ride with the next commit, within a few milliseconds. */
  afterwardsSometime(effect: () => void): void
  /** Starts the next transaction if there is one to start; called at the end of each turn. */
  pump(): void
  /** Resolves when everything is stored. */
  drain(): Promise<void>
  stop(): void
}

interface Effect {
  readonly run: () => void
  readonly refuse: (() => readonly number[]) | undefined
}
interface Group {
  readonly writes: Map<number | string, Write>
  effects: Effect[]
}

/** How long a removal may wait for company. */
const LINGER_MS = 4
const LINGER_WRITES = 2_000
/** On a full disk, when even one write finds no room. */
/** In one transaction when room is short. */
const FULL_WRITES = 256
const FULL_RETRY_MS = 250

export function createGroupCommit(options: {
  readonly store: Store
  readonly disk: Pick<DiskSpace, 'explains' | 'release'>
  /** False: somebody else is the hub; nothing of the group may be confirmed. */
  readonly mayConfirm: () => boolean
  readonly onCommitted: () => void
  /** Lost the store, or the disk failed: the hub must stop, and outcomes are unknown. */
  readonly onFailed: (why: string) => void
}): GroupCommit {
  let group: Group = { writes: new Map(), effects: [] }
  let isUrgent = false
  let isBusy = false
  let isStopped = false
  let isDraining = false
  let linger: NodeJS.Timeout | undefined
  const idle: (() => void)[] = []

  function start(): void {
    clearTimeout(linger)
    linger = undefined
    const leaving = group
    group = { writes: new Map(), effects: [] }
    isUrgent = false
    isBusy = true
    store(leaving).then(
      (isOurs) => {
        if (isStopped) return
        if (!isOurs || !options.mayConfirm()) return fail('another process has become the hub')
        passFaultPoint('commit stored')
        isBusy = false
        for (const effect of leaving.effects) effect.run()
        options.onCommitted()
        if (!isBusy && isEmpty()) for (const resolve of idle.splice(0)) resolve()
      },
      (error: unknown) => {
        if (!isStopped) fail(error instanceof Error ? error.message : String(error))
      },
    )
  }
  async function store(leaving: Group): Promise<boolean> {
    if (leaving.writes.size === 0) return true
    try {
      return await options.store.commit(leaving.writes.values())
    } catch (error) {
      if (!options.disk.explains(error)) throw error
    }
    refuse(leaving)
    return storeBitByBit([...leaving.writes.values()])
  }
  /** What is new is refused, so that what ends something finds room. */
  function refuse(leaving: Group): void {
    const refused = leaving.effects.flatMap((effect) => effect.refuse?.() ?? [])
    for (const sequence of refused) leaving.writes.delete(sequence)
    leaving.effects = leaving.effects.filter((effect) => effect.refuse === undefined)
  }
  /** In order, so what replaces something is stored before that is removed. What does not fit waits until there is room. */
  async function storeBitByBit(writes: readonly Write[]): Promise<boolean> {
    let count = Math.min(writes.length, FULL_WRITES)
    for (let at = 0; at < writes.length && !isStopped;) {
      try {
        if (!(await options.store.commit(writes.slice(at, at + count)))) return false
        at += count
      } catch (error) {
        if (!options.disk.explains(error) || isDraining) throw error
        // Room first, and few tries: LMDB was seen to damage the memory of its process after commits that failed so.
        if (options.disk.release('settling')) continue
        if (count > 1) count = Math.ceil(count / 4)
        else await sleep(FULL_RETRY_MS)
      }
    }
    return true
  }
  function fail(why: string): void {
    isStopped = true
    options.onFailed(why)
  }
  function isEmpty(): boolean {
    return group.writes.size === 0 && group.effects.length === 0
  }
  function write(table: Table | NamedTable, key: number | string, value: Buffer | undefined): void {
    group.writes.set(typeof key === 'number' ? key : `${table} ${key}`, { table, key, value })
  }

  return {
    put: write,
    remove(table, sequence) {
      if (!group.writes.delete(sequence)) write(table, sequence, undefined)
    },
    putName: write,
    afterwards(run, refuse) {
      group.effects.push({ run, refuse })
      isUrgent = true
    },
    afterwardsSometime(run) {
      group.effects.push({ run, refuse: undefined })
    },
    pump() {
      if (isBusy || isStopped || isEmpty()) return
      if (isUrgent || group.writes.size > LINGER_WRITES) start()
      else linger ??= setTimeout(() => !isBusy && !isStopped && start(), LINGER_MS)
    },
    drain() {
      if (isStopped || (!isBusy && isEmpty())) return Promise.resolve()
      isUrgent = true
      isDraining = true
      return new Promise((resolve) => {
        idle.push(resolve)
        if (!isBusy) start()
      })
    },
    stop() {
      isStopped = true
      clearTimeout(linger)
      for (const resolve of idle.splice(0)) resolve()
    },
  }
}
