import { expect, test } from 'vitest'
import type { LogLine } from '../../../broker-adapters/broker.ts'
import { connect, openBroker } from '../../../broker-adapters/connect.ts'
import { createClient } from '../../../client/index.ts'
import { BrokerError, ConfigError } from '../../../protocol/errors.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { createScripted } from '../../support/scripted-adapter.ts'
import { errorOf, scriptedClient, turns } from '../../support/scripted-client.ts'
import { echo } from '../client/raw-worker.ts'

const never = new Promise<never>(() => {})

function logged(): { readonly lines: LogLine[]; readonly log: (line: LogLine) => void } {
  const lines: LogLine[] = []
  return { lines, log: (line) => void lines.push(line) }
}

test('connect and ready give up after their time, and leave nothing behind', async () => {
  const stopped = createGate()
  const scripted = createScripted({ start: () => stopped.opened, stop: async () => stopped.open() })
  expect(await errorOf(connect(scripted.target, { connectTimeoutMs: 30 }))).toMatchObject({
    code: 'BROKER_UNAVAILABLE',
    message: expect.stringContaining('within 30 ms'),
  })
})

test.each([
  ['its reason', new BrokerError('BROKER_REFUSED', 'wrong password'), 'BROKER_REFUSED', /wrong password/],
  ['a missing library', new ConfigError('npm i amqplib'), 'CONFIG', /^\[CONFIG\] npm i amqplib/],
  ['a bug', new TypeError('x is undefined'), 'BROKER_REFUSED', /x is undefined/],
])('a start that rejects with %s refuses connect, ready and every call', async (_, reason, code, message) => {
  const scripted = createScripted({ start: () => Promise.reject(reason) })
  await expect(connect(scripted.target)).rejects.toMatchObject({ code })
  const client = createClient(scripted.target)
  const early = errorOf(client.service(echo).say(1))
  expect(await early).toMatchObject({ code, executed: 'no', method: 'say', message: expect.stringMatching(message) })
  expect((await early).message.match(/\[/g)).toHaveLength(1)
  expect(await errorOf(client.service(echo).note.send(1))).toMatchObject({ code, executed: 'no' })
  expect(await errorOf(client.ready())).toMatchObject({ code })
  await client.close()
})

test('a broker that refuses later ends what waits and what is made, until it is up again', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const stub = client.service(echo)
  const call = stub.say.start(1)
  await call.stored()
  scripted.say('refused', 'password changed')
  expect(await errorOf(call)).toMatchObject({ code: 'BROKER_REFUSED', executed: 'unknown' })
  expect(await errorOf(stub.note.send(1))).toMatchObject({ code: 'BROKER_REFUSED', executed: 'no' })
  expect(await errorOf(client.ready())).toMatchObject({ code: 'BROKER_REFUSED' })
  scripted.say('up')
  await stub.note.send(1)
})

test('an inbox that is refused ends the calls, and not the sends', async () => {
  const scripted = createScripted({ openInbox: () => Promise.reject(new BrokerError('BROKER_REFUSED', 'no inbox')) })
  const client = createClient(scripted.target)
  const error = await errorOf(client.service(echo).say(1))
  expect(error).toMatchObject({
    code: 'BROKER_REFUSED',
    executed: 'no',
    message: expect.stringMatching(/^\S+ no inbox/),
  })
  await client.service(echo).note.send(1)
  await client.close()
})

test('ready waits until a call would leave at once, at most its time', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  scripted.say('down')
  expect(await errorOf(client.ready({ timeoutMs: 20 }))).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  const ready = client.ready()
  scripted.say('up')
  await ready
  expect(await errorOf(client.ready({ timeoutMs: Infinity }))).toMatchObject({ code: 'CONFIG' })
  const hanging = createClient(createScripted({ openInbox: () => never }).target)
  expect(await errorOf(hanging.ready({ timeoutMs: 20 }))).toMatchObject({ code: 'BROKER_UNAVAILABLE' })
  await hanging.close()
})

test.each([{ namespace: 'other' }, { log: () => {} }, { connectTimeoutMs: 5 }, { maxPayloadBytes: 5000 }])(
  'a client that shares a broker takes no %j of its own',
  async (options) => {
    const broker = await connect(createScripted().target)
    expect(() => createClient(broker, options)).toThrow(/belongs to the broker .*client shares: give it to connect/)
    await createClient(broker, { namespace: undefined }).close()
    await broker.close()
  },
)

test('a closed broker ends its clients first, and refuses those that come later', async () => {
  const broker = await connect(createScripted().target)
  const client = createClient(broker)
  const call = client.service(echo).say.start(1)
  await call.stored()
  await broker.close({ graceMs: 20 })
  expect(await errorOf(call)).toMatchObject({ code: 'CLOSED', executed: 'unknown' })
  expect(broker.state).toBe('closed')
  const late = createClient(broker)
  expect(await errorOf(late.service(echo).say(1))).toMatchObject({ code: 'CLOSED', executed: 'no' })
  expect(await errorOf(late.ready())).toMatchObject({ code: 'CLOSED' })
  expect(await errorOf(late.queue(echo).stats())).toMatchObject({ code: 'CLOSED' })
  await late.close()
  await Promise.all([broker.close(), client.close()])
})

test('workers end before clients, and the broker after both, whatever they do', async () => {
  const order: string[] = []
  const { lines, log } = logged()
  const scripted = createScripted({
    async stop() {
      order.push('stop')
      throw new Error('stop failed')
    },
  })
  const broker = await connect(scripted.target, { log })
  const core = broker['~core']
  core.attach('client', async () => void order.push('client'))
  core.attach('worker', async () => {
    await turns(2)
    order.push('worker')
    throw new Error('worker failed')
  })
  await broker.close()
  expect(order).toEqual(['worker', 'client', 'stop'])
  expect(lines.map(({ code, message }) => [code, /worker failed|stop failed/.exec(message)?.[0]])).toEqual([
    ['CLOSE', 'worker failed'],
    ['CLOSE', 'stop failed'],
  ])
  expect(broker.state).toBe('closed')
})

test('close while it connects: what comes up later is not used', async () => {
  const started = createGate()
  const scripted = createScripted({ start: () => started.opened, stop: async () => started.open() })
  const broker = openBroker(scripted.target)
  const ready = errorOf(broker['~core'].ready())
  await eventually(() => scripted.calls['start'] === 1)
  await broker.close()
  expect(await ready).toMatchObject({ code: 'CLOSED' })
  expect(broker['~core'].connected).toBeUndefined()
})

test('a client that is closed while its inbox opens closes that inbox', async () => {
  const opened = createGate()
  let isOpen = true
  const scripted = createScripted({
    openInbox: async () => {
      await opened.opened
      return { address: 'replyto.in.x', close: async () => void (isOpen = false) }
    },
  })
  const broker = await connect(scripted.target)
  const client = createClient(broker)
  client
    .service(echo)
    .say(1)
    .catch(() => undefined)
  await eventually(() => scripted.calls['openInbox'] === 1)
  await client.close({ graceMs: 0 })
  opened.open()
  await expect.poll(() => isOpen).toBe(false)
  await broker.close()
})

test('listeners of the state: one may throw, leave while it is told, or listen twice', async () => {
  const { lines, log } = logged()
  const scripted = createScripted()
  const broker = await connect(scripted.target, { log })
  const heard: string[] = []
  const twice = (state: string): void => void heard.push(`twice ${state}`)
  const leaveFirst = broker.onState(twice)
  broker.onState(twice)
  broker.onState(() => {
    throw new Error('listener bug')
  })
  const leave = broker.onState((state) => {
    heard.push(`once ${state}`)
    leave()
    leave()
  })
  scripted.say('blocked')
  leaveFirst()
  scripted.say('up')
  expect(heard).toEqual(['twice blocked', 'twice blocked', 'once blocked', 'twice up'])
  expect(lines).toMatchObject([{ code: 'LISTENER', message: expect.stringContaining('listener bug') }])
  await broker.close()
})

test('options of connect and close are checked', async () => {
  const scripted = createScripted()
  for (const options of [{ namespce: 'a' }, { connectTimeoutMs: NaN }, { log: 'stderr' }, { maxPayloadBytes: 10 }])
    expect(await errorOf(connect(scripted.target, options as object))).toMatchObject({ code: 'CONFIG' })
  const broker = await connect(scripted.target)
  for (const graceMs of [NaN, Infinity, -1, '5'])
    expect(await errorOf(broker.close({ graceMs: graceMs as number }))).toMatchObject({ code: 'CONFIG' })
  const client = createClient(broker)
  expect(await errorOf(client.close({ graceMs: Infinity }))).toMatchObject({ code: 'CONFIG' })
  await client.service(echo).note.send(1)
  await client.close({ graceMs: 0 })
  await broker.close()
})

test('a client that only sends need not be ready first', async () => {
  const scripted = createScripted()
  const client = createClient(scripted.target)
  await client.service(echo).note.send(1)
  expect(scripted.published).toHaveLength(1)
  await client.close()
})
