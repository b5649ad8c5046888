import { expect, test, vi } from 'vitest'
import type { AdapterContext } from '../../../broker-adapters/adapter.ts'
import { createLinked, openOf } from '../../../broker-adapters/linked.ts'
import { BrokerError } from '../../../protocol/errors.ts'
import type { Message, Reply } from '../../../protocol/message.ts'

const context = { namespace: 'ns' } as AdapterContext // handed on, not looked at
const message = { id: 'a' } as Message // the same
const reply = { correlationId: 'a' } as Reply // the same

function createStage() {
  const session = { isOpen: true, ended: new Promise<string>(() => {}), end: () => Promise.resolve() }
  const replying = { reply: vi.fn(() => Promise.resolve(['stored' as const])) }
  const opened = { session, storing: 'storing', replying }
  let isAway = false
  const running = {
    link: { start: vi.fn(() => Promise.resolve()) },
    standings: { add: vi.fn(({ establish }: { establish: () => Promise<void> }) => establish()) },
    open() {
      if (isAway) throw new BrokerError('BROKER_UNAVAILABLE', 'it is away')
      return opened
    },
  }
  const assemble = vi.fn(() => running)
  const stop = vi.fn(() => Promise.resolve())
  const linked = createLinked<typeof opened, typeof running>({ url: 'x://host', assemble, stop })
  return { linked, running, opened, assemble, stop, goAway: () => void (isAway = true) }
}

test('it starts once and stops once, however often it is told to', async () => {
  const { linked, running, assemble, stop } = createStage()
  await Promise.all([linked.start(context), linked.start(context)])
  await Promise.all([linked.stop(), linked.stop()])
  expect([assemble, running.link.start, stop].map((called) => called.mock.calls.length)).toEqual([1, 1, 1])
})

test('before it is started it is not there, and stopping it is no work', async () => {
  const { linked, stop } = createStage()
  expect(linked.current).toThrow('x://host is not started')
  expect(linked.running).toBeUndefined()
  expect(await linked.publish([message], () => Promise.resolve([]))).toMatchObject([{ status: 'notSent' }])
  expect(await linked.reply('address', [reply])).toEqual(['unknown'])
  await linked.stop()
  expect(stop).not.toHaveBeenCalled()
})

test('a queue stands from its first declaration on; later ones put it in place again', async () => {
  const { linked, running } = createStage()
  await linked.start(context)
  const establish = vi.fn(() => Promise.resolve())
  expect(await linked.declare('q', establish)).toBe(true)
  expect(await linked.declare('q', establish)).toBe(false)
  expect([establish.mock.calls.length, running.standings.add.mock.calls.length]).toEqual([2, 1])
})

test('one that was refused is declared from the beginning', async () => {
  const { linked, running } = createStage()
  await linked.start(context)
  const refusal = new BrokerError('BROKER_REFUSED', 'no right')
  await expect(linked.declare('q', () => Promise.reject(refusal))).rejects.toBe(refusal)
  expect(await linked.declare('q', () => Promise.resolve())).toBe(true)
  expect(running.standings.add).toHaveBeenCalledTimes(2)
})

test('while it is away nothing is sent, and that is said; what is stored is told as it is', async () => {
  const { linked, goAway } = createStage()
  await linked.start(context)
  const store = vi.fn(() => Promise.resolve([{ status: 'stored' as const }]))
  expect(await linked.publish([message], store)).toEqual([{ status: 'stored' }])
  expect(store).toHaveBeenCalledWith('storing')
  expect(await linked.reply('address', [reply])).toEqual(['stored'])
  goAway()
  expect(await linked.publish([message], store)).toMatchObject([
    { status: 'notSent', reason: expect.stringContaining('away') as unknown },
  ])
  expect(await linked.reply('address', [reply])).toEqual(['unknown'])
  expect(store).toHaveBeenCalledTimes(1)
})

test('what was made for another session is not there', () => {
  const { opened } = createStage()
  const of = (session: (typeof opened)['session']) => ({ session: () => session })
  expect(openOf(of(opened.session), opened, 'x://host')).toBe(opened)
  expect(() => openOf(of(createStage().opened.session), opened, 'x://host')).toThrow('x://host is away')
  expect(() => openOf(of(opened.session), undefined, 'x://host')).toThrow('x://host is away')
})
