import type { Delivery } from '../broker-adapters/adapter.ts'
import type { WireDeadline } from '../protocol/deadline.ts'
import type { Message } from '../protocol/message.ts'
import { generationKey, isReplayed } from '../protocol/replay.ts'
import type { Attempt } from './attempt.ts'
import type { ServedMethod } from './handlers.ts'
import type { ServedQueue } from './served-queue.ts'

/** A call or send that this worker holds, from the hand-over to the settlement of its delivery. */
export interface HeldCall {
  readonly queue: ServedQueue
  readonly message: Message
  /** What the message names; undefined: the contract has no such method. */
  readonly method: ServedMethod | undefined
  readonly deadline: WireDeadline | undefined
  /** Where answers go; undefined: nobody waits, or the address is not one to write to. */
  readonly replyAddress: string | undefined
  /** Replaced when the broker took it back and hands the same call over again. */
  delivery: Delivery
  /** Further copies of the call: settled with it, or taking the place of a lost delivery. */
  readonly spares: Delivery[]
  /** Counted from 1; of the run that is under way or comes next. */
  attempt: number
  /** One entry per failed attempt. */
  history: string
  /**
   * waiting: for a slot. held: for its next attempt. leaving: a copy takes its place at the broker. Only `running` has
   * `running`, only waiting and held have `leave`.
   */
  stage: 'waiting' | 'running' | 'held' | 'settling' | 'leaving' | 'done'
  /** Monotonic ms at which a held one is due. */
  dueAt: number
  leave: (() => void) | undefined
  /** It was given a slot, perhaps while it asked for one. */
  isBegun: boolean
  running: Attempt | undefined
  isCancelled: boolean
  /** Some copy of it may have entered a handler. */
  mayHaveRun: boolean
  /** How often a worker that is too old for it has put it back, this one included. */
  given: number
  /** Of a stream whose handler has begun. */
  stream: RunOfStream | undefined
  /** It runs with nothing beside it. */
  isSolo: boolean
}

export interface RunOfStream {
  readonly run: string
  /** How long either side may say nothing. */
  readonly silenceMs: number
  /** How many were sent. */
  chunks: number
  /** Why nobody reads it any more, if that is so. */
  abandoned: string | undefined
}

/** Nothing more can be done about it here. */
export function isSettled({ stage }: HeldCall): boolean {
  return stage === 'settling' || stage === 'leaving' || stage === 'done'
}

/** The calls of one queue that are held, and the ids of those that ended. */
export interface HeldCalls {
  readonly size: number
  /** The same call in the same generation. */
  get(message: Message): HeldCall | undefined
  /** In every generation: a replayed dead letter may come while the call that failed is still being settled. */
  ofId(id: string): readonly HeldCall[]
  all(): readonly HeldCall[]
  add(call: HeldCall): void
  /** It is settled for good: a further copy is a duplicate. */
  finish(call: HeldCall): void
  /** It is no longer held here and may come again. */
  forget(call: HeldCall): void
  /** By `generationKey`. */
  isFinished(key: string): boolean
  /** Resolves when no more than so many are held. */
  whenAtMost(count: number): Promise<void>
}

const REMEMBERED = 10_000

export function createHeldCalls(remembered: number = REMEMBERED): HeldCalls {
  /** By generation, as the ids that follow. */
  const held = new Map<string, HeldCall>()
  /** The replayed among them, by id. */
  const replayed = new Map<string, HeldCall>()
  const ring: string[] = []
  const finished = new Set<string>()
  let next = 0
  let waiters: { readonly count: number; readonly resolve: () => void }[] = []

  return {
    get size() {
      return held.size
    },
    get: (message) => held.get(generationKey(message)),
    ofId: (id) => [held.get(id), replayed.get(id)].filter((call) => call !== undefined),
    all: () => [...held.values()],
    add(call) {
      held.set(generationKey(call.message), call)
      if (isReplayed(call.message)) replayed.set(call.message.id, call)
    },
    finish(call) {
      remember(generationKey(call.message))
      remove(call)
    },
    forget: remove,
    isFinished: (key) => finished.has(key),
    whenAtMost: (count) =>
      held.size <= count ? Promise.resolve() : new Promise((resolve) => waiters.push({ count, resolve })),
  }

  /** A ring, since a set whose oldest entries are deleted gets slow at its beginning. */
  function remember(id: string): void {
    if (finished.has(id)) return
    const oldest = ring[next]
    if (oldest !== undefined) finished.delete(oldest)
    ring[next] = id
    finished.add(id)
    next = (next + 1) % remembered
  }

  function remove(call: HeldCall): void {
    call.stage = 'done'
    const key = generationKey(call.message)
    if (held.get(key) === call) held.delete(key)
    if (replayed.get(call.message.id) === call) replayed.delete(call.message.id)
    if (waiters.length === 0) return
    const ready = waiters.filter(({ count }) => held.size <= count)
    waiters = waiters.filter(({ count }) => held.size > count)
    for (const { resolve } of ready) resolve()
  }
}
