import { expect, test } from 'vitest'
import type { AdapterContext } from '../../../broker-adapters/adapter.ts'
import { connect } from '../../../broker-adapters/connect.ts'
import { createMemoryAdapter } from '../../../broker-adapters/memory/memory-adapter.ts'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import type { Clock } from '../../../protocol/clock.ts'
import { HEADER } from '../../../protocol/headers.ts'
import { newCallId } from '../../../protocol/ids.ts'
import { buildWorker } from '../../../worker/create-worker.ts'
import { resolveWorkerOptions } from '../../../worker/options.ts'
import { createCaller } from './support/caller.ts'

const service = defineService('probe', { methods: { work: method({ input: type<string>(), output: type<string>() }) } })

/** Counts in whole milliseconds, only when it is told to: what is due at one of them happens exactly then. */
function createStepClock(): Clock & { stepTo(until: number): Promise<void> } {
  const timers = new Set<{ readonly dueAt: number; readonly fire: () => void }>()
  let at = 1_000_000_000
  return {
    now: () => at,
    monotonic: () => at,
    after(delayMs, fire) {
      const timer = { dueAt: at + Math.ceil(delayMs), fire }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer), unref: () => {} }
    },
    async stepTo(until) {
      for (; at < until; at++) {
        for (const timer of timers) {
          if (timer.dueAt > at || !timers.delete(timer)) continue
          timer.fire()
        }
        for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

test('the room of an answer that is dropped at its deadline is taken by no call of the same deadline', async () => {
  const clock = createStepClock()
  const name = newCallId()
  let context: AdapterContext | undefined
  const memory = createMemoryAdapter({ name, clock })
  const adapter: typeof memory = {
    ...memory,
    start: (given) => memory.start((context = given)),
    reply: () => new Promise(() => {}), // the broker is blocked
  }
  const target = { '~adapter': 'memory', url: `memory:${name}`, '~clock': clock, create: () => adapter }
  const broker = await connect(target, { log: () => {} })
  const ran: string[] = []
  const worker = buildWorker({
    broker,
    isOwned: false,
    options: resolveWorkerOptions({ concurrency: 1, prefetch: 4 }),
    tuning: { maxReplies: 1 },
  })
  await worker.serve(service, { work: (input) => (ran.push(input), input) }).start()
  const caller = await createCaller(broker, service)
  context?.onState('blocked')
  const deadline = clock.now() + 100
  for (const input of ['a', 'b', 'c']) {
    const headers = { [HEADER.deadline]: String(deadline), [HEADER.sent]: String(clock.now()) }
    await caller.publish('work', { input, headers })
  }
  await clock.stepTo(deadline)
  expect([ran, worker.counters]).toEqual([['a'], {}])
  await clock.stepTo(deadline + 50)
  expect(ran).toEqual(['a'])
  expect(worker.counters).toMatchObject({ expired: 2, repliesAbandoned: 3 })
  const closing = broker.close({ graceMs: 0 })
  await clock.stepTo(deadline + 5_000)
  await closing
})
