import { randomBytes } from 'node:crypto'
import { connect, type ConfirmChannel, type Options } from 'amqplib'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../client/create-client.ts'
import type { Client } from '../../client/types.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { createLedger, type Ledger } from '../support/ledger.ts'

const { url, whyNot } = inject('rabbitmq')

const jobs = defineService('jobs', {
  methods: {
    note: method({ input: type<{ readonly key: string }>(), oneWay: true }),
    work: method({ input: type<{ readonly key: string }>(), output: type<string>() }),
  },
})

interface Scene {
  readonly client: Client
  readonly ledger: Ledger
  /** The headers that handlers saw, by key. */
  readonly seen: Map<string, Readonly<Record<string, string>>>
  readonly channel: ConfirmChannel
  /** Of the work queue. */
  readonly queue: string
  readonly namespace: string
  put(body: unknown, properties: Options.Publish): Promise<void>
}

/** A worker, and a stranger with a bare channel. */
async function setScene(server: string): Promise<Scene> {
  const namespace = `s${randomBytes(5).toString('hex')}`
  const ledger = createLedger()
  const seen = new Map<string, Readonly<Record<string, string>>>()
  const options = { namespace, log: () => {} }
  const client = createClient(server, options)
  const worker = createWorker(server, options).serve(jobs, {
    note: ({ key }, { headers }) => {
      ledger.enter(key)
      seen.set(key, headers)
      if (key.startsWith('bad')) throw new Error('no')
    },
    work: ({ key }) => (ledger.enter(key), `did ${key}`),
  })
  await worker.start()
  const model = await connect(server, { noDelay: true })
  onTestFinished(async () => {
    await Promise.all([client.close({ graceMs: 0 }), worker.close({ graceMs: 0 })])
    await model.close()
  })
  const channel = await model.createConfirmChannel()
  const queue = `${namespace}.q.default.jobs.v1`
  return {
    client,
    ledger,
    seen,
    channel,
    queue,
    namespace,
    async put(body, properties) {
      const content = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
      channel.sendToQueue(queue, content, { persistent: true, ...properties })
      await channel.waitForConfirms()
    },
  }
}

async function lettersOf({ client }: Scene, count: number) {
  await eventually(async () => (await client.queue(jobs).stats()).dead === count, { what: `${count} dead letters` })
  return allOf(client.queue(jobs).deadLetters.list())
}
const json = { contentType: 'application/json' }
const asNote = { ...json, headers: { 'rt-method': 'note' } }

describe.skipIf(url === undefined)(`messages of strangers${url === undefined ? ` [${whyNot}]` : ''}`, () => {
  const at = url ?? ''

  test('foreign properties and headers of every type harm nobody: it runs', async () => {
    const scene = await setScene(at)
    const headers = {
      'rt-method': 'note',
      number: 5,
      half: 0.5,
      yes: true,
      nothing: null,
      bytes: Buffer.of(0xff, 0xfe),
      time: { '!': 'timestamp', value: 1_700_000_000 },
      table: { deep: { deeper: [1, 'a', null] } },
      'x-death': [{ count: 3, reason: 'expired', queue: 'other', exchange: '', 'routing-keys': ['other'] }],
      'x-first-death-reason': 'expired',
      'x-delivery-count': 1,
      'rt-deadline': 'tomorrow',
      'rt-attempt': -7,
      'rt-due': [1],
    }
    const foreign = {
      appId: 'acme',
      type: 'com.acme.Order',
      priority: 9,
      userId: 'guest',
      timestamp: 2 ** 40,
      expiration: 60_000,
    }
    await scene.put({ key: 'odd' }, { ...json, ...foreign, messageId: 'odd-1', correlationId: 'c', headers })
    await eventually(() => scene.ledger.runs('odd') === 1)
    expect(scene.seen.get('odd')).toMatchObject({ number: '5', half: '0.5', yes: 'true' })
    expect(scene.seen.get('odd')).not.toHaveProperty('x-death')
    await scene.client.service(jobs).note.send({ key: 'good' })
    await eventually(() => scene.ledger.runs('good') === 1)
    expect(await scene.client.queue(jobs).stats()).toMatchObject({ ready: 0, dead: 0 })
  })

  test('an id may be the correlation id alone; without an id or a method it becomes a dead letter that says so', async () => {
    const scene = await setScene(at)
    await scene.put({ key: 'correlated' }, { ...asNote, correlationId: 'c' })
    await eventually(() => scene.ledger.runs('correlated') === 1)
    await scene.put({ key: 'anonymous' }, asNote)
    await scene.put({ key: 'a' }, json)
    await scene.put('text', { contentType: 'text/plain', messageId: 'm' })
    await scene.put(Buffer.alloc(0), {})
    await scene.put(Buffer.of(0xff, 0x00), { ...asNote, contentType: 'application/cbor' })
    await scene.put({ key: 'b' }, { ...json, headers: { 'rt-method': { a: 1 } } })
    const letters = await lettersOf(scene, 6)
    expect(letters).toHaveLength(6)
    for (const { error, reason } of letters) {
      expect(error.code).toMatch(/^(?:INVALID_MESSAGE|UNKNOWN_METHOD)$/)
      expect(reason.length).toBeGreaterThan(10)
    }
    expect(await scene.client.service(jobs).work({ key: 'after' })).toBe('did after')
    expect(scene.ledger.keys).toEqual(['correlated', 'after'])
  })

  test('what asks for an answer in a queue that is no inbox is not answered there', async () => {
    const scene = await setScene(at)
    const { queue } = await scene.channel.assertQueue('', { exclusive: true })
    const call = { ...json, messageId: 'x', correlationId: 'x', headers: { 'rt-method': 'work' } }
    await scene.put({ key: 'nowhere' }, { ...call, replyTo: `${scene.namespace}.reply.gone.1` })
    await scene.put({ key: 'elsewhere' }, { ...call, messageId: 'y', replyTo: queue })
    await scene.put({ key: 'itself' }, { ...call, messageId: 'z', replyTo: scene.queue })
    expect(await scene.client.service(jobs).work({ key: 'mine' })).toBe('did mine')
    await eventually(async () => (await scene.client.queue(jobs).stats()).ready === 0)
    expect((await scene.channel.checkQueue(queue)).messageCount).toBe(0)
    expect((await scene.channel.checkQueue(scene.queue)).messageCount).toBe(0)
  })

  test("a user's CC and BCC are headers like any other: they go nowhere else, also as dead letters", async () => {
    const scene = await setScene(at)
    const { queue } = await scene.channel.assertQueue('', { exclusive: true })
    const countElsewhere = async (): Promise<number> => (await scene.channel.checkQueue(queue)).messageCount
    const headers = { CC: queue, BCC: queue }
    await scene.client.service(jobs).note.send({ key: 'copied' }, { headers })
    await eventually(() => scene.ledger.runs('copied') === 1)
    expect(scene.seen.get('copied')).toMatchObject(headers)
    await scene.client.service(jobs).note.send({ key: 'bad' }, { headers })
    await lettersOf(scene, 1)
    expect(await countElsewhere()).toBe(0)
    // The server itself copies what a stranger sends with it; what we make of that is no further copy.
    await scene.put({ key: 'bad too' }, { ...asNote, messageId: 'b', CC: [queue] })
    await lettersOf(scene, 2)
    expect(await countElsewhere()).toBe(1)
  })
})
