import { describe, expect, inject, test } from 'vitest'
import { allOf, createGate, eventually } from '../support/eventually.ts'
import { LIMIT_MS, openRaw, parcels, setUp, type Parcel } from './python-peers.ts'

// The examples in Python, as they stand, with our client and our worker on a real server.

const { whyNot } = inject('rabbitmq')
const { whyNot: whyNoPython } = inject('python')
const reason = whyNot === undefined ? whyNoPython : `no server: ${whyNot}`
/** Of one kilo to Germany. */
const PRICE = { price: 5, by: 'python' }

/** A worker in Python, and our client. Before it there were a send, which makes the queue, and a call that expired meanwhile. */
async function pythonServes() {
  const at = setUp()
  const client = at.makeClient()
  const { quote, track } = client.service(parcels)
  await quote.send({ country: 'DE', kg: 1 })
  await expect(quote({ country: 'DE', kg: 1 }, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'TIMEOUT' })
  return { ...at, client, quote, track, worker: await at.pythonWorker() }
}

describe.skipIf(reason !== undefined)(`examples/python${reason === undefined ? '' : ` [${reason}]`}`, () => {
  describe('a worker in Python and our client', () => {
    test('each call gets its answer, and one that expired is not run', { timeout: LIMIT_MS }, async () => {
      const { client, quote } = await pythonServes()
      const kilos = Array.from({ length: 50 }, (_, index) => index)
      const answers = await Promise.all(kilos.map((kg) => quote({ country: 'FR', kg })))
      expect(answers).toEqual(kilos.map((kg) => ({ price: 7 * kg, by: 'python' })))
      expect(client.counters).toEqual({ timeouts: 1 }) // nothing came late
      expect(await client.queue(parcels).stats()).toMatchObject({ ready: 0, dead: 0 })
    })

    test(
      'errors say what they are: declared with its data, failed without its text, unknown',
      { timeout: LIMIT_MS },
      async () => {
        const { quote, track, worker } = await pythonServes()
        const declared = await quote({ country: 'XX', kg: 1 }).catch((error: unknown) => error)
        expect(quote.isDeclaredError(declared)).toBe(true)
        expect(declared).toMatchObject({
          code: 'NO_SUCH_COUNTRY',
          data: { country: 'XX' },
          executed: 'yes',
          message: expect.stringContaining('no parcel goes there') as unknown,
        })
        const failed = await quote({ country: 'DE' } as Parcel).catch((error: unknown) => error) // what a stranger may send
        expect(failed).toMatchObject({ code: 'HANDLER_FAILED', executed: 'yes' })
        expect(String(failed)).not.toContain('kg')
        expect(worker.stderr()).toContain("KeyError('kg')")
        await expect(track('a')).rejects.toMatchObject({ code: 'UNKNOWN_METHOD', executed: 'no' })
      },
    )

    test('it looks at the deadline itself, and answers to inboxes only', { timeout: LIMIT_MS }, async () => {
      const { namespace } = await pythonServes()
      const { channel, inbox, ask, replies, countIn } = await openRaw(namespace)
      const { queue: stranger } = await channel.assertQueue(`stranger-${namespace}`, { exclusive: true })
      await ask('not-answered', { replyTo: stranger })
      await ask('expired', { deadline: Date.now() - 1 })
      await ask('in-time')
      await ask('odd', { deadline: Number.NaN })
      expect(await replies(3)).toEqual([
        { id: 'expired', type: 'error', body: expect.objectContaining({ code: 'EXPIRED', executed: 'no' }) as unknown },
        { id: 'in-time', type: 'result', body: PRICE },
        { id: 'odd', type: 'result', body: PRICE },
      ])
      expect(await countIn(stranger)).toBe(0)
      expect(await countIn(inbox)).toBe(0)
    })

    test('a send that fails becomes a dead letter', { timeout: LIMIT_MS }, async () => {
      const { client, quote } = await pythonServes()
      const { id } = await quote.send({ country: 'XX', kg: 1 })
      const letters = await eventually(async () => {
        const found = await allOf(client.queue(parcels).deadLetters.list())
        return found.length > 0 ? found : undefined
      })
      expect(letters).toMatchObject([{ id, method: 'quote' }])
    })

    test('what it held when it was killed goes to the next', { timeout: LIMIT_MS }, async () => {
      const { namespace, worker, pythonWorker } = await pythonServes()
      const { queue, ask, replies, countIn } = await openRaw(namespace)
      worker.process.kill('SIGSTOP')
      for (const id of ['a', 'b', 'c']) await ask(id)
      await eventually(async () => (await countIn(queue)) === 0) // stored, and handed out
      await worker.kill()
      await pythonWorker()
      expect(await replies(3)).toEqual(['a', 'b', 'c'].map((id) => ({ id, type: 'result', body: PRICE })))
    })
  })

  describe('a client in Python and our worker', () => {
    test('it gets results and errors', { timeout: LIMIT_MS }, async () => {
      const { work, pythonCall } = setUp()
      await work({
        quote({ country, kg }, ctx) {
          if (country === 'XX') throw ctx.fail('NO_SUCH_COUNTRY', { country })
          if (country === 'YY') throw new Error('secret')
          return { price: kg, by: ctx.caller }
        },
        track: unused,
      })
      expect(await pythonCall('quote', { country: 'DE', kg: 2 })).toEqual({
        out: { result: { price: 2, by: 'python' } },
        stderr: '',
      })
      expect((await pythonCall('quote', { country: 'XX', kg: 2 })).out).toMatchObject({
        error: { code: 'NO_SUCH_COUNTRY', data: { country: 'XX' }, executed: 'yes', retryable: false },
      })
      const failed = await pythonCall('quote', { country: 'YY', kg: 2 })
      expect(failed.out).toMatchObject({ error: { code: 'HANDLER_FAILED', executed: 'yes' } })
      expect(JSON.stringify(failed)).not.toContain('secret')
      expect((await pythonCall('unheard', {})).out).toMatchObject({ error: { code: 'UNKNOWN_METHOD', executed: 'no' } })
    })

    test('it stops waiting at its deadline, and the call is not run later', { timeout: LIMIT_MS }, async () => {
      const { makeClient, work, pythonCall } = setUp()
      const gate = createGate()
      const ran: number[] = []
      await work({
        async quote({ kg }) {
          ran.push(kg)
          await gate.opened
          return { price: kg, by: 'us' }
        },
        track: unused,
      })
      const { quote } = makeClient().service(parcels)
      const first = quote({ country: 'DE', kg: 1 })
      await eventually(() => ran.length === 1)
      const { out, stderr } = await pythonCall('quote', { country: 'DE', kg: 2 }, 1)
      expect(out).toBeUndefined()
      expect(stderr).toContain('TimeoutError: quote: no answer within 1.0 s')
      gate.open()
      await first
      await quote({ country: 'DE', kg: 3 })
      expect(ran).toEqual([1, 3])
    })

    test('it is told when there is no such queue yet', { timeout: LIMIT_MS }, async () => {
      const { out, stderr } = await setUp().pythonCall('quote', { country: 'DE', kg: 2 })
      expect(out).toBeUndefined()
      expect(stderr).toContain('UnroutableError')
    })
  })

  test('a client in Python and a worker in Python', { timeout: LIMIT_MS }, async () => {
    const { pythonCall } = await pythonServes()
    expect((await pythonCall('quote', { country: 'DE', kg: 2 })).out).toEqual({ result: { price: 10, by: 'python' } })
  })
})

function unused(): never {
  throw new Error('not used')
}
