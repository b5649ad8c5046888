import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../../client/index.ts'
import { defineService, method, type } from '../../../contract/index.ts'
import { BrokerError } from '../../../protocol/errors.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { createScripted, publishedOf } from '../../support/scripted-adapter.ts'
import { errorOf, scriptedClient, turns } from '../../support/scripted-client.ts'
import { echo } from './raw-worker.ts'

const other = defineService('other', { methods: { say: method({ input: type<unknown>(), output: type<unknown>() }) } })

test('a publish of unknown outcome goes out once more when the broker is up again, unchanged but for rt-resent', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = () => {
    scripted.say('down')
    return { status: 'unknown' }
  }
  const call = client.service(echo).say.start({ n: 1 })
  const first = await publishedOf(scripted, 1)
  await turns(3)
  expect(scripted.published).toHaveLength(1)
  scripted.outcome = () => ({ status: 'stored' })
  scripted.say('up')
  const second = await publishedOf(scripted, 2)
  expect(second).toEqual({ ...first, expiresInMs: second.expiresInMs, headers: { ...first.headers, 'rt-resent': '1' } })
  expect(client.counters).toEqual({ resent: 1 })
  scripted.answer(second, 'done')
  expect(await call).toBe('done')
})

test('an answer to the first copy withdraws the second', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = () => {
    scripted.say('down')
    return { status: 'unknown' }
  }
  const call = client.service(echo).say.start(1)
  scripted.answer(await publishedOf(scripted, 1), 'done')
  expect(await call).toBe('done')
  scripted.say('up')
  await turns(3)
  expect(scripted.published).toHaveLength(1)
})

test('a broker that is up and sends nothing is asked again after a pause, not in a loop', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = () => ({ status: 'notSent' })
  const stub = client.service(echo)
  const call = stub.say.start(1)
  await turns(20)
  expect(scripted.published).toHaveLength(1)
  const more = Array.from({ length: 20 }, (_, n) => stub.note.send(n))
  await turns(20)
  expect(scripted.published).toHaveLength(1)
  scripted.outcome = () => ({ status: 'stored' })
  await Promise.all(more)
  expect(scripted.published).toHaveLength(22)
  expect(client.counters).toEqual({})
  scripted.answer({ id: call.id }, 1)
  expect(await call).toBe(1)
})

test('what was not sent and gave up is proved not to have run', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = () => ({ status: 'notSent' })
  expect(await errorOf(client.service(echo).say(1, { timeoutMs: 50 }))).toMatchObject({
    code: 'TIMEOUT',
    executed: 'no',
    stage: 'outbox',
  })
})

test('batches that come back in any order leave again in the order in which they were made', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const gate = createGate()
  scripted.outcome = async (message) => {
    scripted.say('down')
    if (scripted.published.indexOf(message) < 600) await gate.opened
    return { status: 'unknown' }
  }
  const stub = client.service(echo)
  const sends = Array.from({ length: 1500 }, (_, n) => stub.note.send(n))
  await publishedOf(scripted, 1500)
  await turns(3)
  gate.open()
  await turns(3)
  const ids = scripted.published.map(({ id }) => id)
  scripted.outcome = () => ({ status: 'stored' })
  scripted.say('up')
  await Promise.all(sends)
  expect(scripted.published.slice(1500).map(({ id }) => id)).toEqual(ids)
})

test('a missing queue is declared again; a queue that stays missing is a refusal', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const outcomes = [{ status: 'unroutable' } as const]
  scripted.outcome = () => outcomes.pop() ?? { status: 'stored' }
  await stub.note.send(1)
  expect(scripted.calls['declare']).toBe(2)
  scripted.outcome = () => ({ status: 'unroutable', reason: 'no exchange' })
  expect(await errorOf(stub.note.send(2))).toMatchObject({
    code: 'BROKER_REFUSED',
    executed: 'no',
    message: expect.stringContaining('no exchange'),
  })
})

test('too large proves that nothing ran, a refusal does not', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  scripted.outcome = () => ({ status: 'tooLarge' })
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', executed: 'no' })
  scripted.outcome = () => ({ status: 'refused', reason: 'full' })
  expect(await errorOf(stub.say(1))).toMatchObject({ code: 'BROKER_REFUSED', executed: 'unknown' })
})

test('an adapter that rejects or forgets outcomes leaves them unknown', async () => {
  const scripted = createScripted({ publish: () => Promise.reject(new Error('bug')) })
  const client = await scriptedClient(scripted)
  expect(await errorOf(client.service(echo).note.send(1, { timeoutMs: 50 }))).toMatchObject({
    code: 'TIMEOUT',
    executed: 'unknown',
  })
})

test('a queue that may not be made refuses everything that waits for it', async () => {
  const scripted = createScripted({
    declare: () => Promise.reject(new BrokerError('BROKER_REFUSED', 'no permission to make it')),
  })
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const errors = await Promise.all(Array.from({ length: 1300 }, (_, n) => errorOf(stub.note.send(n))))
  expect(new Set(errors.map(({ code, executed }) => `${code} ${executed}`))).toEqual(new Set(['BROKER_REFUSED no']))
  expect(errors[0]?.message).toMatch(/^\[BROKER_REFUSED\] no permission to make it \(echo\.note/)
})

test('a queue that cannot be made now is tried again', async () => {
  let failures = 1
  const scripted = createScripted({
    declare: () => (failures-- > 0 ? Promise.reject(new Error('not now')) : Promise.resolve()),
  })
  const client = await scriptedClient(scripted)
  await client.service(echo).note.send(1)
  expect(scripted.calls['declare']).toBe(2)
})

test('the bounds hold: calls, and bytes with their headers', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted, { outbox: { calls: 2, bytes: 20_000 } })
  scripted.say('down')
  const stub = client.service(echo)
  const first = stub.note.send('x', { headers: { a: 'b'.repeat(8000) } })
  await turns(1)
  expect(await errorOf(stub.note.send('x'.repeat(12_000)))).toMatchObject({ code: 'OVERLOADED', executed: 'no' })
  const second = stub.note.send('y')
  await turns(1)
  expect(await errorOf(stub.note.send('z'))).toMatchObject({ code: 'OVERLOADED', executed: 'no' })
  expect(client.counters).toEqual({ overloaded: 2 })
  scripted.say('up')
  await Promise.all([first, second])
  await stub.note.send('z')
})

test('one queue whose publishes hang does not keep another from its own', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.outcome = (message) =>
    message.headers['rt-service'] === 'echo' ? new Promise(() => {}) : { status: 'stored' }
  const stub = client.service(echo)
  for (let n = 0; n < 9000; n++) stub.note.send(n).catch(() => undefined)
  await turns(2)
  expect((await client.service(other).say.send(1)).id).toBeTypeOf('string')
})

test('calls wait for the inbox, sends do not', async () => {
  const gate = createGate()
  const scripted = createScripted({
    openInbox: async () => {
      await gate.opened
      return { address: 'replyto.in.late', close: () => Promise.resolve() }
    },
  })
  const client = createClient(scripted.target)
  onTestFinished(() => client.close({ graceMs: 0 }))
  const stub = client.service(echo)
  const call = stub.say.start(1)
  await stub.note.send(2)
  expect(scripted.published.map(({ type }) => type)).toEqual(['send'])
  gate.open()
  await call.stored()
  expect(scripted.published.map(({ replyTo }) => replyTo)).toEqual([undefined, 'replyto.in.late'])
})

test('what waits and gives up leaves no memory behind', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.say('down')
  const stub = client.service(echo)
  const inputs = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const controller = new AbortController()
      const sent = errorOf(stub.note.send(new Uint8Array(1_000_000 - 10), { signal: controller.signal }))
      await turns(1)
      controller.abort()
      return sent
    }),
  )
  expect(inputs.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, () => 'CANCELLED'))
  const declared = scripted.calls['declare'] ?? 0
  scripted.say('up')
  await turns(3)
  expect(scripted.calls['declare'] ?? 0).toBe(declared) // nothing is left that would need the queue
})

test('failFast: a broker that goes away ends what has not left', async () => {
  const hang = new Promise<never>(() => {})
  const scripted = createScripted({ declare: () => hang })
  const client = await scriptedClient(scripted, { failFast: true })
  const sent = errorOf(client.service(echo).note.send(1))
  await eventually(() => (scripted.calls['declare'] ?? 0) > 0)
  scripted.say('down')
  expect(await sent).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
})

test('failFast: an outcome that nobody knows is an error at once', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted, { failFast: true })
  scripted.outcome = () => ({ status: 'notSent' })
  expect(await errorOf(client.service(echo).say(1))).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'no' })
  scripted.outcome = () => ({ status: 'unknown', reason: 'gone' })
  expect(await errorOf(client.service(echo).say(1))).toMatchObject({ code: 'BROKER_UNAVAILABLE', executed: 'unknown' })
})

test('what the broker refuses passes through the middleware, like any other failure', async () => {
  const scripted = createScripted()
  scripted.outcome = () => ({ status: 'tooLarge' })
  const client = await scriptedClient(scripted, { middleware: [(_, next) => next().catch(() => 'mended')] })
  expect(await client.service(echo).say(1)).toBe('mended')
})
