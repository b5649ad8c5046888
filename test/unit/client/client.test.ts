import { expect, test } from 'vitest'
import { createClient } from '../../../client/index.ts'
import { DeclaredError, ReplytoError } from '../../../protocol/errors.ts'
import { answer, consumeEcho, echo, freshBroker, inputOf } from './raw-worker.ts'

test('a call is answered, its id travels, its input arrives as it was when it was made', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const input = { n: 1 }
  const promise = client.service(echo).say(input)
  input.n = 2
  await consumeEcho(broker, (delivery) => void answer(broker, delivery, { value: inputOf(delivery) }))
  expect(await promise).toEqual({ n: 1 })
  await client.close()
  await broker.close()
})

test('a started call tells its stages, its progress and its outcome, and rejects only when asked', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  await consumeEcho(broker, (delivery) => {
    void (async () => {
      await answer(broker, delivery, { type: 'progress', value: 1 })
      await answer(broker, delivery, { type: 'progress', value: 2 })
      const error = {
        code: 'BUSY',
        message: 'busy',
        data: { again: 5 },
        executed: 'yes',
        retryable: false,
        attempts: 1,
      }
      await answer(broker, delivery, { type: 'error', value: error })
    })()
  })
  const call = client.service(echo).say.start('x')
  expect(call.stage).toBe('outbox')
  await call.stored()
  const seen: number[] = []
  for await (const value of call.progress) seen.push(value)
  expect(seen).toEqual([1, 2])
  expect(call.stage).toBe('settled')
  const outcome = await call.outcome()
  expect(outcome.status).toBe('error')
  if (outcome.status === 'error' && outcome.error.code === 'BUSY') expect(outcome.error.data.again).toBe(5)
  await expect(call).rejects.toSatisfy((error: unknown) => client.service(echo).say.isDeclaredError(error))
  await expect(call).rejects.toBeInstanceOf(DeclaredError)
  await client.close()
  await broker.close()
})

test('a time-out names queue, group, broker and that nobody consumes it', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const error = await client
    .service(echo)
    .say('x', { timeoutMs: 150 })
    .catch((e: unknown) => e)
  expect(error).toMatchObject({
    code: 'TIMEOUT',
    executed: 'unknown',
    stage: 'queued',
    queue: 'replyto.q.default.echo.v1',
  })
  expect(String(error)).toMatch(/no worker consumes the queue/)
  expect(String(error)).toMatch(/memory:/)
  await client.close()
  await broker.close()
})

test('abort before publishing proves that nothing ran; abort while queued removes it', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const stub = client.service(echo)
  const before = await stub.say('x', { signal: AbortSignal.abort() }).catch((e: unknown) => e)
  expect(before).toMatchObject({ code: 'CANCELLED', executed: 'no' })
  const call = stub.say.start('x')
  await call.stored()
  call.cancel('changed my mind')
  expect(await call.catch((e: unknown) => e)).toMatchObject({ code: 'CANCELLED', executed: 'no' })
  expect((await client.queue(echo).stats()).ready).toBe(0)
  await client.close()
  await broker.close()
})

test('many calls share one signal without a warning, and all hear of it', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  const controller = new AbortController()
  const calls = Array.from({ length: 50 }, () =>
    client
      .service(echo)
      .say('x', { signal: controller.signal })
      .catch((e: unknown) => e),
  )
  await new Promise((resolve) => setImmediate(resolve))
  controller.abort(new Error('enough'))
  for (const error of await Promise.all(calls))
    expect(error).toMatchObject({ code: 'CANCELLED', message: expect.stringContaining('enough') })
  expect(warnings).toEqual([])
  process.off('warning', onWarning)
  await client.close()
  await broker.close()
})

test('a running call that is cancelled says unknown within its proof time, or what the worker proved', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const got = new Promise<void>((resolve) => void consumeEcho(broker, () => resolve()))
  const call = client.service(echo).say.start('x')
  await got
  call.cancel()
  expect(await call.catch((e: unknown) => e)).toMatchObject({ code: 'CANCELLED', executed: 'unknown' })
  await client.close()
  await broker.close()
})

test('map bounds what is under way, keeps order on request, and cancels the rest when left', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  let held = 0
  let most = 0
  await consumeEcho(broker, (delivery) => {
    most = Math.max(most, ++held)
    setImmediate(() => {
      held--
      delivery.ack()
      void answer(broker, delivery, { value: inputOf(delivery) })
    })
  })
  const stub = client.service(echo)
  const inputs = Array.from({ length: 50 }, (_, i) => i)
  const indexes: number[] = []
  for await (const item of stub.say.map(inputs, { inFlight: 7, ordered: true })) indexes.push(item.index)
  expect(indexes).toEqual(inputs)
  expect(most).toBeLessThanOrEqual(7)
  expect(await stub.say.map(inputs).values()).toEqual(inputs)
  for await (const item of stub.say.map(inputs, { inFlight: 3 })) if (item.index >= 0) break
  await expect(
    stub.say
      .map(
        (function* () {
          yield 1
          throw new Error('inputs broke')
        })(),
      )
      .values(),
  ).rejects.toThrow('inputs broke')
  await client.close()
  await broker.close()
})

test('sends resolve when stored; sendMany reports each failure', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const stub = client.service(echo)
  expect((await stub.note.send('x')).id).toMatch(/^[0-9a-f-]{36}$/)
  const result = await stub.note.sendMany([1, () => 2, 3])
  expect(result).toMatchObject({ stored: 2, failed: [{ index: 1, error: { code: 'INVALID_INPUT', executed: 'no' } }] })
  expect((await client.queue(echo).stats()).ready).toBe(3)
  expect(await client.queue(echo).purge()).toEqual({ count: 3 })
  await client.close()
  await broker.close()
})

test('late and foreign replies are counted', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  await consumeEcho(broker, (delivery) => {
    void (async () => {
      await answer(broker, delivery, { value: 1 })
      await answer(broker, delivery, { value: 2 })
      await answer(broker, { message: { ...delivery.message, id: 'somebody-else' } }, { value: 3 })
      await answer(broker, delivery, { type: 'progress', value: 4 })
    })()
  })
  expect(await client.service(echo).say('x')).toBe(1)
  await expect.poll(() => client.counters).toEqual({ lateReplies: 2, foreignReplies: 1 })
  await client.close()
  await broker.close()
})

test('middleware wraps a call: it sees the input, adds headers, changes the output, and cannot publish twice', async () => {
  const broker = await freshBroker()
  const client = createClient(broker, {
    middleware: [
      async (call, next) => {
        call.headers.set('x-trace', '1')
        call.input = [call.input]
        return [await next()]
      },
      async (call, next) => (call.method === 'note' ? next().then(next) : next()),
    ],
  })
  await consumeEcho(broker, (delivery) => {
    void answer(broker, delivery, { value: { input: inputOf(delivery), trace: delivery.message.headers['x-trace'] } })
  })
  expect(await client.service(echo).say('x')).toEqual([{ input: ['x'], trace: '1' }])
  await expect(client.service(echo).note.send('x')).rejects.toMatchObject({ code: 'CONFIG' })
  await client.close()
  await broker.close()
})

test('a middleware that hangs does not keep the call from its deadline', async () => {
  const broker = await freshBroker()
  const client = createClient(broker, { middleware: [() => new Promise(() => {})] })
  await expect(client.service(echo).say('x', { timeoutMs: 100 })).rejects.toMatchObject({
    code: 'TIMEOUT',
    executed: 'no',
  })
  await client.close()
  await broker.close()
})

test('a middleware that waits for an answer goes on when the deadline ends the call', async () => {
  const broker = await freshBroker()
  let seen: unknown
  const client = createClient(broker, {
    middleware: [(_, next) => next().catch((error: unknown) => Promise.reject((seen = error)))],
  })
  await expect(client.service(echo).say('x', { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' })
  await expect.poll(() => seen).toMatchObject({ code: 'TIMEOUT' })
  await client.close()
  await broker.close()
})

test('close rejects what is under way after its grace and everything later', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const stub = client.service(echo)
  const waiting = stub.say('x').catch((e: unknown) => e)
  await client.close({ graceMs: 50 })
  expect(await waiting).toMatchObject({ code: 'CLOSED', executed: 'unknown' })
  await expect(stub.say('x')).rejects.toMatchObject({ code: 'CLOSED', executed: 'no' })
  await broker.close()
})

test('closing again with less grace shortens it; without any it only waits for the same', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const waiting = client
    .service(echo)
    .say('x')
    .catch((e: unknown) => e)
  const first = client.close({ graceMs: 600_000 })
  const second = client[Symbol.asyncDispose]()
  await client.close({ graceMs: 10 })
  expect(await waiting).toMatchObject({ code: 'CLOSED', executed: 'unknown' })
  await Promise.all([first, second, broker.close()])
})

test('failFast turns waiting into an error', async () => {
  const broker = await freshBroker()
  const client = createClient(broker, { failFast: true })
  await expect(client.service(echo).say('x')).rejects.toMatchObject({ code: 'NO_WORKER', executed: 'no' })
  await client.close()
  await broker.close()
})

test('wrong options reject the call with a sentence', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const stub = client.service(echo)
  await expect(stub.say('x', { timeoutMs: -1 })).rejects.toThrow(/timeoutMs must be a whole number from 1/)
  await expect(stub.say('x', { headers: { 'rt-id': '1' } })).rejects.toThrow(/belong to the library/)
  await expect(stub.say('x', { headers: { a: 'b\ud800' } })).rejects.toBeInstanceOf(ReplytoError)
  await client.close()
  await broker.close()
})
