import { ConfigError, createWorker, RetryAfter, type HandlerContext, type Handlers } from 'replyto'
import { createTestClock, testService } from 'replyto/testing'
import { expect, test } from 'vitest'
import { createGate, eventually } from '../../support/eventually.ts'
import { images } from './contract.ts'

const MINUTE_MS = 60_000

function handlersWith(some: Partial<Handlers<typeof images>> = {}): Handlers<typeof images> {
  return { resize: ({ width, height }) => ({ area: width * height }), slow() {}, mend: () => 1, note() {}, ...some }
}

test('a call goes through the codec and the schemas, and a declared error comes back as one', async () => {
  const inputs: unknown[] = []
  await using service = await testService(
    images,
    handlersWith({
      resize(input, ctx) {
        inputs.push(input)
        if (input.width > 100) throw ctx.fail('TOO_WIDE', { limit: 100 })
        return { area: input.width * input.height }
      },
    }),
  )
  const input = { width: 3 }
  expect(await service.stub.resize(input)).toEqual({ area: 3 })
  expect(inputs).toEqual([{ width: 3, height: 1 }])
  const { resize } = service.stub
  const error: unknown = await resize({ width: 101 }).catch((reason: unknown) => reason)
  expect(resize.isDeclaredError(error) && error.data).toEqual({ limit: 100 })
  expect(service.worker.counters).toMatchObject({ completed: 1, failed: 1 })
})

test('two services know nothing of each other, and further workers join one', async () => {
  await using first = await testService(images, handlersWith(), { worker: { group: 'gpu' } })
  await using second = await testService(images, handlersWith(), { stub: { failFast: true } })
  await second.worker.close()
  await expect(second.stub.slow()).rejects.toMatchObject({ code: 'NO_WORKER' })
  expect(await first.stub.resize({ width: 2 })).toEqual({ area: 2 })
  await using worker = createWorker(second.broker).serve(images, handlersWith())
  await worker.start()
  expect(await second.stub.resize({ width: 2 })).toEqual({ area: 2 })
})

test('what is wrong is told at once, and nothing stays open', async () => {
  const wrong = handlersWith() as Record<string, unknown>
  delete wrong['note']
  await expect(testService(images, wrong as Handlers<typeof images>)).rejects.toThrow(ConfigError)
  await expect(createTestClock().advance(-1)).rejects.toThrow('advance takes milliseconds')
})

test('a send that is delayed for a minute runs when the clock is moved by a minute, not before', async () => {
  const notes: string[] = []
  await using service = await testService(images, handlersWith({ note: (text) => void notes.push(text) }))
  await service.stub.note.send('late', { delayMs: MINUTE_MS })
  await service.stub.note.send('later', { delayMs: 2 * MINUTE_MS })
  await service.clock.advance(MINUTE_MS - 10_000)
  expect(notes).toEqual([])
  await service.clock.advance(10_000)
  expect(notes).toEqual(['late'])
  await service.clock.advance(MINUTE_MS)
  expect(notes).toEqual(['late', 'later'])
})

test('retries of half an hour in all happen in their order while the clock is moved once', async () => {
  const runs: number[] = []
  await using service = await testService(
    images,
    handlersWith({
      mend(_, { attempt }) {
        runs.push(attempt)
        if (attempt < 3) throw new RetryAfter(attempt * 10 * MINUTE_MS)
        return attempt
      },
      note(_, { attempt }) {
        runs.push(-attempt)
        throw new Error('always')
      },
    }),
  )
  const call = service.stub.mend.start()
  await eventually(() => runs.length === 1)
  await service.clock.advance(30 * MINUTE_MS)
  expect(runs).toEqual([1, 2, 3])
  expect(await call).toBe(3)

  await service.stub.note.send('x')
  await eventually(() => runs.length === 4)
  await service.clock.advance(3 * MINUTE_MS)
  expect(runs.slice(3)).toEqual([-1, -2, -3])
  expect(await service.client.queue(images).stats()).toMatchObject({ dead: 1, delayed: 0 })
})

test('the deadline of a call comes when the clock is moved to it, for the caller and the handler', async () => {
  let ctx: HandlerContext | undefined
  const gate = createGate()
  await using service = await testService(
    images,
    handlersWith({
      slow(_, given) {
        ctx = given
        return gate.opened
      },
    }),
  )
  const outcome = service.stub.slow.start().outcome()
  await eventually(() => ctx !== undefined)
  await service.clock.advance(3_599_000)
  expect(ctx?.signal.aborted).toBe(false)
  expect(ctx?.remainingMs()).toBeLessThanOrEqual(1_000)
  await service.clock.advance(1_000)
  expect(await outcome).toMatchObject({ status: 'error', error: { code: 'TIMEOUT' } })
  await expect.poll(() => ctx?.signal.aborted).toBe(true) // by the worker's own clock, or as its caller gave up
  gate.open()
})

test('a call that nobody serves waits for its deadline and says so', async () => {
  await using service = await testService(images, handlersWith())
  await service.worker.close()
  const call = service.stub.slow.start()
  await call.stored()
  await service.clock.advance(3_600_000)
  const outcome = await call.outcome()
  expect(outcome).toMatchObject({ status: 'error', error: { code: 'TIMEOUT' } })
  expect(outcome.status === 'error' && outcome.error.elapsedMs).toBeGreaterThanOrEqual(3_600_000)
})

test('a kept result is there until its time is over', async () => {
  await using service = await testService(images, handlersWith())
  const { resize } = service.stub
  const call = resize.start({ width: 2 }, { keepMs: 10 * MINUTE_MS })
  expect(await call).toEqual({ area: 2 })
  await service.clock.advance(9 * MINUTE_MS)
  expect(await resize.attach(call.id)).toEqual({ area: 2 })
  await service.clock.advance(2 * MINUTE_MS)
  await expect(resize.attach(call.id)).rejects.toMatchObject({ code: 'NOT_KEPT' })
})

test('the clock runs by itself too, in order, and cancelled timers never fire', async () => {
  const clock = createTestClock()
  const fired: string[] = []
  const before = { now: clock.now(), monotonic: clock.monotonic() }
  const never = clock.after(5, () => fired.push('never'))
  never.cancel()
  clock.after(20, () => fired.push('20'))
  clock.after(10, () => fired.push('10'))
  clock.after(60_000, () => fired.push('60000')).unref()
  await eventually(() => fired.length === 2)
  clock.after(30_000, () => {
    fired.push('30000')
    clock.after(10_000, () => fired.push('30000 + 10000'))
  })
  await clock.advance(60_000)
  expect(fired).toEqual(['10', '20', '30000', '30000 + 10000', '60000'])
  const moving = clock.advance(1)
  await expect(clock.advance(1)).rejects.toThrow('being moved already')
  await moving
  expect(clock.now() - before.now).toBeGreaterThanOrEqual(60_000)
  expect(clock.monotonic() - before.monotonic).toBeGreaterThanOrEqual(60_000)
})
