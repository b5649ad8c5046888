import { expect, test } from 'vitest'
import { CallError } from '../../../protocol/errors.ts'
import type { Message } from '../../../protocol/message.ts'
import { createGate, eventually } from '../../support/eventually.ts'
import { createScripted, publishedOf, type Scripted } from '../../support/scripted-adapter.ts'
import { errorOf, scriptedClient, turns } from '../../support/scripted-client.ts'
import { echo } from './raw-worker.ts'

/** Answers every call with its place in the order of publishing. */
function answering(): Scripted {
  const scripted = createScripted()
  scripted.outcome = (message: Message) => {
    setImmediate(() => scripted.answer(message, scripted.published.indexOf(message)))
    return { status: 'stored' }
  }
  return scripted
}

test('one at a time, from promises, keeps the order', async () => {
  const client = await scriptedClient(answering())
  const inputs = [Promise.resolve('a'), 'b', Promise.resolve('c')]
  expect(await client.service(echo).say.map(inputs, { inFlight: 1 }).values()).toEqual([0, 1, 2])
})

test('no inputs give no items; what is no list of inputs rejects', async () => {
  const client = await scriptedClient(answering())
  const stub = client.service(echo)
  expect(await stub.say.map([]).values()).toEqual([])
  await expect(stub.say.map(5 as never).values()).rejects.toBeInstanceOf(TypeError)
  await expect(stub.say.map([1, Promise.reject(new Error('bad input'))]).values()).rejects.toThrow('bad input')
})

test('a reader that leaves ends inputs that never come, and the calls under way', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  let given = 0
  let isEnded = false
  const inputs: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => (given < 2 ? Promise.resolve({ done: false, value: given++ }) : new Promise(() => {})),
      async return() {
        isEnded = true
        throw new Error('closing failed')
      },
    }),
  }
  const run = client.service(echo).say.map(inputs)[Symbol.asyncIterator]()
  const first = run.next()
  scripted.answer(await publishedOf(scripted, 2), 'done')
  expect(await first).toMatchObject({ value: { status: 'ok', value: 'done' } })
  await run.return?.()
  expect(isEnded).toBe(true)
  await eventually(() => scripted.broadcasts.length === 1)
})

test('a signal in the middle ends each call that is left, one item for each input', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const controller = new AbortController()
  const run = client.service(echo).say.map([1, 2, 3, 4], { inFlight: 2, signal: controller.signal })
  const items: string[] = []
  const reading = (async () => {
    for await (const item of run) items.push(item.status === 'ok' ? 'ok' : `${item.error.code} ${item.error.executed}`)
  })()
  scripted.answer(await publishedOf(scripted, 2), 'two')
  await publishedOf(scripted, 3)
  controller.abort()
  await reading
  expect(items.toSorted()).toEqual(['CANCELLED no', 'CANCELLED unknown', 'CANCELLED unknown', 'ok'])
})

test('values rejects with the first error and cancels the rest', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const values = errorOf(client.service(echo).say.map([1, 2, 3]).values())
  await publishedOf(scripted, 3)
  const error = { code: 'HANDLER_FAILED', message: 'x', executed: 'yes', retryable: true, attempts: 1 }
  scripted.answer({ id: scripted.published[1]?.id ?? '' }, error, 'error')
  expect(await values).toMatchObject({ code: 'HANDLER_FAILED' })
  await eventually(() => scripted.broadcasts.length === 1)
})

test('sendMany: bounded, counts what was stored, waits for the rest when its inputs throw', async () => {
  const scripted = createScripted()
  const client = await scriptedClient(scripted)
  const gate = createGate()
  scripted.outcome = async () => {
    await gate.opened
    return { status: 'stored' }
  }
  const stub = client.service(echo)
  const sent = stub.note.sendMany([1, 2, 3], { inFlight: 2 })
  await publishedOf(scripted, 2)
  await turns(3)
  expect(scripted.published).toHaveLength(2)
  gate.open()
  expect(await sent).toEqual({ stored: 3, failed: [] })
  const broken = stub.note.sendMany(
    (function* () {
      yield 1
      throw new CallError('CLOSED', 'the inputs broke')
    })(),
  )
  expect(await errorOf(broken)).toMatchObject({ code: 'CLOSED' })
  expect(scripted.published).toHaveLength(4)
})
