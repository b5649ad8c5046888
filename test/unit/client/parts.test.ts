import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { openBroker } from '../../../broker-adapters/connect.ts'
import { createCallState, executedOf, type CallState } from '../../../client/call-state.ts'
import { createPendingCalls } from '../../../client/pending-calls.ts'
import { createQueueWatch } from '../../../client/queue-watch.ts'
import { linkSignal } from '../../../client/signal-links.ts'
import { monotonicMs, SYSTEM_CLOCK } from '../../../protocol/clock.ts'
import { createTimerWheel } from '../../../protocol/timer-wheel.ts'
import { createScripted } from '../../support/scripted-adapter.ts'

const target = {
  service: 'echo',
  method: 'say',
  queue: { group: 'default', service: 'echo', major: 'v1', features: { keyed: false, priority: false, frames: false } },
  queueName: 'replyto.q.default.echo.v1',
}

function stateOf(
  id: string,
  { kind = 'call', timeoutMs = 60_000 }: { kind?: 'call' | 'send'; timeoutMs?: number } = {},
): CallState {
  const endsAt = monotonicMs() + timeoutMs
  const times = { endsAt, deadline: Date.now() + timeoutMs }
  return createCallState({
    id,
    kind,
    target,
    clock: SYSTEM_CLOCK,
    ...times,
    expiresAt: kind === 'call' ? times.deadline : undefined,
    failFast: false,
    waitsForItself: false,
    kept: undefined,
    copies: 0,
    onSettled: () => {},
  })
}

test('executed: no copy proves no, evidence proves itself, all else is unknown; an end is final', () => {
  const state = stateOf('a')
  expect(executedOf(state)).toBe('no')
  state.copies = 1
  expect(executedOf(state)).toBe('unknown')
  state.evidence = 'yes'
  expect(executedOf(state)).toBe('yes')
  state.settle({ status: 'ok', value: 1 })
  state.settle({ status: 'ok', value: 2 })
  expect(state.end).toEqual({ status: 'ok', value: 1 })
})

test('pending calls: half time once for calls, the deadline once for all, nothing after the end', async () => {
  const wheel = createTimerWheel({ granularityMs: 1 })
  const told: string[] = []
  const pending = createPendingCalls({
    wheel,
    limit: 3,
    onHalfTime: ({ id }) => void told.push(`half ${id}`),
    onDeadline(state) {
      told.push(`end ${state.id}`)
      pending.remove(state)
    },
  })
  const gone = stateOf('gone', { timeoutMs: 20 })
  const states = [stateOf('call', { timeoutMs: 20 }), stateOf('send', { timeoutMs: 20, kind: 'send' }), gone]
  for (const state of states) pending.add(state)
  expect(() => pending.add(stateOf('one too many'))).toThrow(/^\[OVERLOADED\]/)
  pending.remove(gone)
  pending.remove(gone)
  expect([pending.get('call')?.id, pending.get('gone'), pending.size]).toEqual(['call', undefined, 2])
  pending.remove(stateOf('call')) // another one of the same id
  await pending.whenEmpty()
  expect(told.toSorted()).toEqual(['end call', 'end send', 'half call'])
  await pending.whenEmpty()
  wheel.close()
})

test('signals: one listener however many calls, none when they have ended, at once if it has aborted', () => {
  const controller = new AbortController()
  const heard: number[] = []
  const unlinks = [1, 2, 3].map((n) => linkSignal(controller.signal, () => void heard.push(n)))
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
  for (const unlink of unlinks) unlink()
  for (const unlink of unlinks) unlink()
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  const again = linkSignal(controller.signal, () => {
    heard.push(4)
    again()
  })
  controller.abort()
  linkSignal(controller.signal, () => void heard.push(5))()
  expect(heard).toEqual([4, 5])
})

test('queue watch: asks once for all who ask meanwhile, remembers consumers for a second, never their absence', async () => {
  let consumers: number | Error = 1
  const scripted = createScripted({
    stats: async () => {
      if (consumers instanceof Error) throw consumers
      return { ready: 0, dead: 0, consumers, delayed: 0, active: 0, isPaused: false }
    },
  })
  const broker = openBroker(scripted.target)
  await broker['~core'].ready()
  const watch = createQueueWatch(broker['~core'])
  const since = monotonicMs()
  expect(watch.seenSince(target.queueName, since)).toBeUndefined()
  expect(await Promise.all([watch.look(target), watch.look(target)])).toEqual([1, 1])
  expect(await watch.look(target)).toBe(1)
  expect(scripted.calls['stats']).toBe(1)
  expect(watch.seenSince(target.queueName, since)).toMatchObject({ consumers: 1, isPaused: false })
  expect(watch.seenSince(target.queueName, monotonicMs() + 1)).toBeUndefined()
  const other = { ...target, queueName: 'replyto.q.default.other.v1' }
  consumers = 0
  expect(await watch.look(other)).toBe(0)
  consumers = new Error('away')
  expect(await watch.look(other)).toBeUndefined()
  await broker.close()
})
