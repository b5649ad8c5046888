import { expect, test } from 'vitest'
import { createCancels } from '../../../client/cancels.ts'
import { createCallState, type CallState } from '../../../client/call-state.ts'
import { openBroker } from '../../../broker-adapters/connect.ts'
import { createClient } from '../../../client/index.ts'
import { monotonicMs, SYSTEM_CLOCK } from '../../../protocol/clock.ts'
import { parseCancel } from '../../../protocol/cancel-message.ts'
import { createTimerWheel } from '../../../protocol/timer-wheel.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { createScripted, publishedOf } from '../../support/scripted-adapter.ts'
import { errorOf, scriptedClient, turns } from '../../support/scripted-client.ts'
import { answer, consumeEcho, echo, freshBroker } from './raw-worker.ts'

const never = new Promise<never>(() => {})

test('a send that is cancelled while it is published does not claim to be stored', async () => {
  const removed = createGate()
  const scripted = createScripted({ remove: () => removed.opened.then(() => true) })
  const client = await scriptedClient(scripted)
  const stored = createGate()
  scripted.outcome = () => stored.opened.then(() => ({ status: 'stored' }))
  const controller = new AbortController()
  const sent = errorOf(client.service(echo).note.send(1, { signal: controller.signal }))
  await publishedOf(scripted, 1)
  controller.abort()
  stored.open()
  await turns(2)
  removed.open()
  expect(await sent).toMatchObject({ code: 'CANCELLED', executed: 'no' })
})

test('a cancelled call is not published again', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = () => {
    scripted.say('down')
    return { status: 'unknown' }
  }
  const call = client.service(echo).say.start(1)
  await publishedOf(scripted, 1)
  await turns(2)
  call.cancel()
  scripted.say('up')
  await turns(3)
  expect(scripted.published).toHaveLength(1)
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', executed: 'unknown' })
})

test('what was removed after a worker had reported is not said not to have run', async () => {
  const scripted = createScripted({ remove: () => Promise.resolve(true) })
  const client = await scriptedClient(scripted)
  const call = client.service(echo).say.start(1)
  await call.stored()
  scripted.answer(await publishedOf(scripted, 1), 1, 'progress')
  expect(call.stage).toBe('running')
  call.cancel()
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', executed: 'unknown', stage: 'running' })
})

test('what was handed out once and came back is not said not to have run', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const call = client.service(echo).say.start(1)
  let retried = false
  await consumeEcho(broker, (delivery) => {
    void delivery.retry({ delayMs: 60_000, headers: { 'rt-ran': '1', 'rt-attempt': '2' } }).then(() => (retried = true))
  })
  await eventually(() => retried)
  call.cancel()
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', executed: 'unknown' })
  expect(await client.queue(echo).stats()).toMatchObject({ delayed: 0 })
  await client.close()
  await broker.close()
})

test('a call that is cancelled while its output is parsed ends as cancelled, and did run', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const parsed = createGate()
  const slow = {
    ...echo,
    methods: { ...echo.methods, say: { ...echo.methods.say, output: slowSchema(parsed.opened) } },
  }
  const call = client.service(slow).say.start(1)
  scripted.answer(await publishedOf(scripted, 1), 'late')
  call.cancel('enough')
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', executed: 'yes', stage: 'running' })
  parsed.open()
  await turns(1)
  expect(call.stage).toBe('settled')
})

test('a deadline that comes while the output is parsed says that it ran', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const slow = { ...echo, methods: { ...echo.methods, say: { ...echo.methods.say, output: slowSchema(never) } } }
  const call = client.service(slow).say.start(1, { timeoutMs: 100 })
  scripted.answer(await publishedOf(scripted, 1), 'late')
  const error = await errorOf(call)
  expect(error).toMatchObject({ code: 'TIMEOUT', executed: 'yes' })
  expect(error.message).toContain('the answer has come and is still being checked')
  expect(scripted.broadcasts).toEqual([])
})

test('a broker that does not answer the removal does not hold the promise; reasons are bounded; twice is once', async () => {
  const scripted = createScripted({ remove: () => never })
  const client = await scriptedClient(scripted)
  const call = client.service(echo).say.start(1)
  await call.stored()
  call.cancel('x'.repeat(1_000_000))
  call.cancel('again')
  const error = await errorOf(call)
  expect(error).toMatchObject({ code: 'CANCELLED', executed: 'unknown' })
  expect(error.message.length).toBeLessThan(1000)
  call.cancel()
})

test('a cancel whose deadline comes before its proof is still a cancel, with the cause of the signal', async () => {
  const scripted = createScripted({ remove: () => never })
  const client = await scriptedClient(scripted)
  const controller = new AbortController()
  const call = client.service(echo).say.start(1, { timeoutMs: 60, signal: controller.signal })
  await call.stored()
  const cause = new Error('closed the tab')
  controller.abort(cause)
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', cause, executed: 'unknown' })
})

test('what close leaves is cancelled at the workers before the inbox closes: calls that may run, no sends', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const calls = [stub.say.start(1), stub.say.start(2)]
  await Promise.all(calls.map((call) => call.stored()))
  scripted.outcome = () => never
  const send = errorOf(stub.note.send(3))
  await publishedOf(scripted, 3)
  await client.close({ graceMs: 0 })
  expect(scripted.broadcasts.flatMap(({ body }) => parseCancel(body)?.ids)).toEqual(calls.map(({ id }) => id))
  for (const call of calls) expect(await errorOf(call)).toMatchObject({ code: 'CLOSED', executed: 'unknown' })
  expect(await send).toMatchObject({ code: 'CLOSED' })
})

test('a broker that is away, or does not answer, does not hold up close for long', async () => {
  const away = createScripted()
  const silent = createScripted({ remove: () => never })
  for (const [scripted, limitMs] of [
    [away, 900],
    [silent, 5000],
  ] as const) {
    const client = await scriptedClient(scripted)
    const call = client.service(echo).say.start(1)
    await call.stored()
    if (scripted === away) scripted.say('down')
    const startedAt = monotonicMs()
    await client.close({ graceMs: 0 })
    expect(monotonicMs() - startedAt).toBeLessThan(limitMs)
    expect(await errorOf(call)).toMatchObject({ code: 'CLOSED' })
  }
})

test('workers are told once, and again when one announces itself, until the deadline', async () => {
  let hello = (): void => {}
  const scripted = createScripted({
    onBroadcast: async (_, listener) => {
      hello = () => listener(new Uint8Array())
      return () => {}
    },
  })
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const calls = [stub.say.start(1), stub.say.start(2)]
  await Promise.all(calls.map((call) => call.stored()))
  for (const call of calls) call.cancel()
  await Promise.all(calls.map(errorOf))
  const told = (): unknown => scripted.broadcasts.map(({ topic, body }) => [topic, parseCancel(body)?.ids])
  const ids = calls.map(({ id }) => id)
  expect(told()).toEqual([['cancel.replyto.q.default.echo.v1', ids]])
  hello()
  expect(told()).toEqual([
    ['cancel.replyto.q.default.echo.v1', ids],
    ['cancel.replyto.q.default.echo.v1', ids],
  ])
})

test('a listener that comes after the end is ended', async () => {
  const heard = createGate()
  let isListening = true
  const scripted = createScripted({
    onBroadcast: () => heard.opened.then(() => () => void (isListening = false)),
  })
  const broker = openBroker(scripted.target)
  await broker['~core'].ready()
  const wheel = createTimerWheel()
  const cancels = createCancels({ core: broker['~core'], wheel, giveUp: () => {}, onCancelled: () => {} })
  cancels.forget(publishedState())
  await eventually(() => (scripted.calls['onBroadcast'] ?? 0) > 0)
  cancels.close()
  heard.open()
  await expect.poll(() => isListening).toBe(false)
  wheel.close()
  await broker.close()
})

test('an answer that comes within the proof time says what it proves', async () => {
  const broker = await freshBroker()
  const client = createClient(broker)
  const call = client.service(echo).say.start(1)
  await consumeEcho(broker, (delivery) => {
    call.cancel()
    void answer(broker, delivery, { value: 'too late' })
  })
  expect(await errorOf(call)).toMatchObject({ code: 'CANCELLED', executed: 'yes' })
  await client.close()
  await broker.close()
})

function slowSchema(until: Promise<unknown>): typeof echo.methods.say extends { output?: infer O } ? O : never {
  const validate = (value: unknown): Promise<{ value: unknown }> => until.then(() => ({ value }))
  return { '~standard': { version: 1, vendor: 'test', validate } } as never // only what the library looks at
}

function publishedState(id = 'some-call'): CallState {
  const queue = {
    group: 'default',
    service: 'echo',
    major: 'v1',
    features: { keyed: false, priority: false, frames: false },
  }
  const state = createCallState({
    id,
    kind: 'call',
    target: { service: 'echo', method: 'say', queue, queueName: 'replyto.q.default.echo.v1' },
    clock: SYSTEM_CLOCK,
    endsAt: monotonicMs() + 600_000,
    deadline: Date.now() + 600_000,
    expiresAt: Date.now() + 600_000,
    failFast: false,
    waitsForItself: false,
    kept: undefined,
    copies: 0,
    onSettled: () => {},
  })
  state.copies = 1
  return state
}
