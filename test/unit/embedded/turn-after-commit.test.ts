import { expect, test } from 'vitest'
import type { GroupCommit } from '../../../broker-adapters/embedded/group-commit.ts'
import type { HubConnection } from '../../../broker-adapters/embedded/hub-connection.ts'
import { createHubMessages, type HubMessages } from '../../../broker-adapters/embedded/hub-messages.ts'
import type { Entry, HubQueue, HubSubscription } from '../../../broker-adapters/embedded/hub-queue.ts'
import { createFrameWriter } from '../../../broker-adapters/embedded/wire.ts'

/** The messages of a hub over a disk that stores when the test says so. */
function slowDisk(): { messages: HubMessages; queue: HubQueue; add: (id: string) => Entry; store: () => void } {
  let effects: (() => void)[] = []
  const commit: GroupCommit = {
    put: () => undefined,
    remove: () => undefined,
    putName: () => undefined,
    afterwards: (run) => void effects.push(run),
    afterwardsSometime: (run) => void effects.push(run),
    pump: () => undefined,
    drain: () => Promise.resolve(),
    stop: () => undefined,
  }
  const store = (): void => {
    const stored = effects
    effects = []
    for (const run of stored) run()
  }
  let sequence = 0
  const messages = createHubMessages({
    store: {
      commit: () => Promise.resolve(true),
      read: () => undefined,
      scan: () => [],
      scanNamed: () => [],
      reusableBytes: () => 0,
      close: () => Promise.resolve(),
    },
    commit,
    journal: () => ({
      grant: () => undefined,
      session: () => undefined,
      finished: () => undefined,
      flush: () => undefined,
      size: 0,
      close: () => undefined,
    }),
    nextSequence: () => ++sequence,
    now: () => 1,
    markWritten: () => undefined,
  })
  const queue = messages.makeQueue('q', 1)
  const add = (id: string): Entry => {
    const placing = { turnKey: 'a', isHigh: false, hasTurn: false }
    const entry = messages.add(queue, { id, generation: '', dueAt: 0, expiresAt: 0, placing, blob: new Uint8Array(1) })
    if (entry === undefined) throw new Error(`${id} was not added`)
    return entry
  }
  return { messages, queue, add, store }
}
function consumerOf(queue: HubQueue): HubSubscription {
  const connection: HubConnection = {
    writer: createFrameWriter(),
    hello: undefined,
    session: 1,
    held: new Set(),
    heldById: new Map(),
    answered: new Map(),
    subscriptions: new Map(),
    inboxes: new Set(),
    topics: new Set(),
    isClosed: false,
    flush: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  }
  return { connection, number: 1, queue, prefetch: 10, held: 0, isPaused: false, isStopped: false }
}

test('the next of a key is handed out when the end of the one before it is stored, not before', () => {
  const { messages, queue, add, store } = slowDisk()
  queue.subscriptions.push(consumerOf(queue))
  const [first, second] = [add('a1'), add('a2')]
  store()
  messages.place(first)
  messages.place(second)
  messages.handOut()
  expect([first.state, second.state]).toEqual(['leased', 'ready'])
  messages.settle(first, 'sometime')
  messages.handOut()
  expect([first.state, second.state]).toEqual(['settling', 'ready'])
  store()
  messages.handOut()
  expect([first.state, second.state]).toEqual(['gone', 'leased'])
})

test('consumers take turns, also while nothing can be handed out', () => {
  const { messages, queue, add, store } = slowDisk()
  const consumers = [consumerOf(queue), consumerOf(queue)]
  queue.subscriptions.push(...consumers)
  const entries = ['a1', 'a2', 'a3', 'a4'].map(add)
  store()
  for (const entry of entries) messages.place(entry)
  const chosen: (HubSubscription | undefined)[] = []
  for (const entry of entries) {
    messages.handOut()
    chosen.push(entry.holder)
    messages.settle(entry, 'sometime')
    store()
  }
  expect(chosen.map((one) => one === consumers[0])).toEqual([true, false, true, false])
})

test('a keyed message is handed out only with a fence that is stored', () => {
  const { messages, queue, add, store } = slowDisk()
  queue.subscriptions.push(consumerOf(queue))
  // As after a restart: it is stored, the block of fences is not.
  const entry = add('a1')
  messages.place(entry)
  messages.handOut()
  expect([entry.state, queue.readyCount]).toEqual(['ready', 1])
  store()
  messages.handOut()
  expect(entry.state).toBe('leased')
})
