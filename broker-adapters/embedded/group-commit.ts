import { passFaultPoint } from './fault-points.ts'
import type { NamedTable, Store, Table, Write } from './store.ts'

/** Collects writes into transactions, one at a time; what comes while one is under way is the next. */
export interface GroupCommit {
  put(table: Table, sequence: number, value: Buffer): void
  /** Cancels a put of the same group. */
  remove(table: Table, sequence: number): void
  putName(table: NamedTable, name: string, value: Buffer | undefined): void
  /** Runs in order once everything written so far in this group is stored, and only then. Asks for the commit to be soon. */
  afterwards(effect: () => void): void
  /** The same for effects that nobody waits for: they ride with the next commit, within a few milliseconds. */
  afterwardsSometime(effect: () => void): void
  /** Starts the next transaction if there is one to start; called at the end of each turn. */
  pump(): void
  /** Resolves when everything is stored. */
  drain(): Promise<void>
  stop(): void
}

interface Group {
  readonly writes: Map<number | string, Write>
  readonly effects: (() => void)[]
}

/** How long a removal may wait for company. */
const LINGER_MS = 4
const LINGER_WRITES = 2_000

export function createGroupCommit(options: {
  readonly store: Store
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
  let linger: NodeJS.Timeout | undefined
  const idle: (() => void)[] = []

  function start(): void {
    clearTimeout(linger)
    linger = undefined
    const { writes, effects } = group
    group = { writes: new Map(), effects: [] }
    isUrgent = false
    isBusy = true
    const stored = writes.size === 0 ? Promise.resolve(true) : options.store.commit(writes.values())
    stored.then(
      (isOurs) => {
        if (isStopped) return
        if (!isOurs || !options.mayConfirm()) return fail('another process has become the hub')
        passFaultPoint('commit stored')
        isBusy = false
        for (const effect of effects) effect()
        options.onCommitted()
        if (!isBusy && isEmpty()) for (const resolve of idle.splice(0)) resolve()
      },
      (error: unknown) => {
        if (!isStopped) fail(error instanceof Error ? error.message : String(error))
      },
    )
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
    afterwards(effect) {
      group.effects.push(effect)
      isUrgent = true
    },
    afterwardsSometime(effect) {
      group.effects.push(effect)
    },
    pump() {
      if (isBusy || isStopped || isEmpty()) return
      if (isUrgent || group.writes.size > LINGER_WRITES) start()
      else linger ??= setTimeout(() => !isBusy && !isStopped && start(), LINGER_MS)
    },
    drain() {
      if (isStopped || (!isBusy && isEmpty())) return Promise.resolve()
      isUrgent = true
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
