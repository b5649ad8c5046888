import { expect, onTestFinished, test } from 'vitest'
import { connect } from '../../../broker-adapters/connect.ts'
import { createMemoryAdapter } from '../../../broker-adapters/memory/memory-adapter.ts'
import { createClient } from '../../../client/create-client.ts'
import { defineService } from '../../../contract/define-service.ts'
import { method, type } from '../../../contract/method.ts'
import { newCallId } from '../../../protocol/ids.ts'
import { createTestClock } from '../../../testing/test-clock.ts'
import { createWorker } from '../../../worker/create-worker.ts'

const work = method({ input: type<string>(), output: type<string>() })
const old = defineService('probe', { version: '1.2.0', methods: { work } })
const renewed = defineService('probe', { version: '1.3.0', methods: { work, added: work } })

test.each([2_000, 12_000, 14_000, 14_500])(
  'a call with 15 s that an old worker holds is answered by a newer one that comes after %d ms',
  async (comesAfterMs) => {
    const clock = createTestClock()
    const name = newCallId()
    const create = (): ReturnType<typeof createMemoryAdapter> => createMemoryAdapter({ name, clock })
    const target = { '~adapter': 'memory', url: `memory:${name}`, '~clock': clock, create }
    const broker = await connect(target, { log: () => {} })
    onTestFinished(() => broker.close({ graceMs: 0 }))
    const older = createWorker(broker).serve(old, { work: (input) => input })
    await older.start()
    const answer = createClient(broker).service(renewed).added('a', { timeoutMs: 15_000 })
    await clock.advance(comesAfterMs)
    await createWorker(broker)
      .serve(renewed, { work: (input) => input, added: (input) => `new ${input}` })
      .start()
    await clock.advance(15_000 - comesAfterMs - 250)
    expect(await Promise.race([answer, Promise.resolve('not yet')])).toBe('new a')
    expect(older.counters['leftToNewer']).toBeLessThan(20)
  },
)
