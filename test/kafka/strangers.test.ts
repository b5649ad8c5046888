import { CompressionTypes, type Message as KafkaMessage } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { allOf, eventually, eventuallyPasses } from '../support/eventually.ts'
import { jobs, producerOf, setScene, type Scene } from './stranger.ts'

const { url = '', whyNot } = inject('kafka')

async function lettersOf({ client }: Scene, count: number) {
  await eventually(async () => (await client.queue(jobs).stats()).dead === count, { what: `${count} dead letters` })
  return allOf(client.queue(jobs).deadLetters.list())
}

const body = (key: string): string => JSON.stringify({ key })
const asNote = (id: string): Record<string, string> => ({ 'rt-id': id, 'rt-method': 'note' })

describe.skipIf(whyNot !== undefined)(`records of strangers${whyNot === undefined ? '' : ` [${whyNot}]`}`, () => {
  test('what plain kafkajs writes with an id and a method is run, whatever headers it has', async () => {
    const scene = await setScene(url)
    const odd = {
      ...asNote('odd'),
      bytes: Buffer.of(0xff, 0xfe),
      empty: '',
      twice: ['a', 'b'],
      __proto__x: 'x',
      'rt-deadline': 'tomorrow',
      'rt-attempt': '-7',
      'rt-due': 'soon',
      'rt-expires': 'never',
      'rt-type': 'strange',
    }
    await scene.put(
      scene.queue,
      { value: body('plain'), headers: asNote('plain') },
      { key: 'k', value: body('with a key'), headers: asNote('keyed') },
      { value: body('odd'), headers: odd },
      { value: body('nobody waits'), headers: { 'rt-id': 'w', 'rt-method': 'work' } },
    )
    const all = ['nobody waits', 'odd', 'plain', 'with a key']
    await eventuallyPasses(() => expect(scene.ledger.keys.toSorted()).toEqual(all))
    expect(scene.seen.get('odd')).toMatchObject({ empty: '', twice: 'b' })
    expect(await scene.client.service(jobs).work({ key: 'after' })).toBe('did after')
    await eventuallyPasses(async () =>
      expect(await scene.client.queue(jobs).stats()).toMatchObject({ ready: 0, active: 0, dead: 0 }),
    )
    expect(scene.ledger.total).toBe(scene.ledger.keys.length)
  })

  test('what is compressed by gzip is run, and of transactions what was committed', async () => {
    const scene = await setScene(url)
    const note = (key: string): KafkaMessage => ({ value: body(key), headers: asNote(key) })
    await scene.put(scene.queue, note('first'))
    const transactional = producerOf(url, `${scene.namespace}.transactions`)
    onTestFinished(() => transactional.disconnect())
    await transactional.connect()
    for (const end of ['abort', 'commit', 'abort', 'commit'] as const) {
      const transaction = await transactional.transaction()
      const messages = [1, 2, 3, 4].map((n) => note(`${end}-${n}`))
      await transaction.send({ topic: scene.queue, messages, compression: CompressionTypes.GZIP })
      await transaction[end]()
    }
    const { work } = scene.client.service(jobs)
    expect(await Promise.all([1, 2, 3, 4].map((n) => work({ key: `after-${n}` })))).toHaveLength(4)
    await eventually(() => scene.ledger.keys.length === 1 + 4 + 4, { what: 'all that was committed has run' })
    expect(scene.ledger.keys.filter((key) => key.startsWith('abort'))).toEqual([])
    await eventuallyPasses(async () =>
      expect(await scene.client.queue(jobs).stats()).toMatchObject({ ready: 0, active: 0, dead: 0 }),
    )
  })

  test('one that was due later is run then; one that has expired is not', async () => {
    const scene = await setScene(url)
    const began = Date.now()
    await scene.put(
      scene.queue,
      { value: body('late'), headers: { ...asNote('late'), 'rt-due': String(began + 700) } },
      { value: body('expired'), headers: { ...asNote('expired'), 'rt-expires': String(began - 1) } },
      { value: body('now'), headers: asNote('now') },
    )
    await eventually(() => scene.ledger.runs('late') === 1)
    expect(Date.now() - began).toBeGreaterThanOrEqual(695)
    expect(scene.ledger.keys).toEqual(['now', 'late'])
  })

  test('what cannot be read becomes a dead letter that says why, and runs nothing', async () => {
    const scene = await setScene(url)
    const unreadable: readonly KafkaMessage[] = [
      { value: body('no headers') },
      { value: null },
      { key: 'k', value: null }, // a tombstone
      { value: null, headers: { 'rt-id': 'x' } },
      { value: body('no id'), headers: { 'rt-method': 'note' } },
      { value: body('a'), headers: { 'rt-id': 'no-method' } },
      { value: body('a'), headers: { 'rt-id': 'other-method', 'rt-method': 'nonsense' } },
      { value: body('a'), headers: { 'rt-id': 'proto', 'rt-method': '__proto__' } },
      { value: '{broken', headers: asNote('broken') },
      { value: Buffer.of(0xff, 0x00), headers: { ...asNote('cbor'), 'rt-content-type': 'application/cbor' } },
      { value: body('a'), headers: { ...asNote('gzip'), 'rt-content-encoding': 'gzip' } },
      { value: body('a'), headers: { 'rt-id': Buffer.of(0xff), 'rt-method': 'note' } },
    ]
    await scene.put(scene.queue, ...unreadable)
    const letters = await lettersOf(scene, unreadable.length)
    expect(letters).toHaveLength(unreadable.length)
    for (const { error, reason } of letters) {
      expect(error.code).toMatch(/^(?:INVALID_MESSAGE|INVALID_INPUT|UNKNOWN_METHOD)$/)
      expect(reason.length).toBeGreaterThan(10)
    }
    expect(await scene.client.service(jobs).work({ key: 'after' })).toBe('did after')
    expect(scene.ledger.keys).toEqual(['after'])
    expect(scene.worker.health().state).toBe('consuming')
  })

  test('what asks for an answer where no inbox is gets none, and is settled', async () => {
    const scene = await setScene(url)
    const call = (id: string, replyTo: string): KafkaMessage => ({
      value: body(id),
      headers: { 'rt-id': id, 'rt-method': 'work', 'rt-reply-to': replyTo },
    })
    const { namespace, queue } = scene
    await scene.put(
      queue,
      call('nowhere', `${namespace}.reply/99999/x.1`),
      call('negative', `${namespace}.reply/-1/x.1`),
      call('gone', `${namespace}.reply/0/x.1`),
      call('itself', queue),
      call('elsewhere', 'other.reply/0/x'),
      call('odd', `${namespace}.reply/../ctl`),
    )
    await eventually(() => scene.ledger.total === 6, { what: 'all run' })
    expect(await scene.client.service(jobs).work({ key: 'mine' })).toBe('did mine')
    await eventuallyPasses(async () =>
      expect(await scene.client.queue(jobs).stats()).toMatchObject({ ready: 0, active: 0, dead: 0 }),
    )
  })

  test('what nobody asked for in the topics of replies, broadcasts, letters and delays does nobody harm', async () => {
    const scene = await setScene(url)
    const { namespace, queue, client } = scene
    const { work, note } = client.service(jobs)
    await work({ key: 'before' })
    await note.send({ key: 'bad one' })
    await note.send({ key: 'later' }, { delayMs: 1_100 }) // which makes the topic of delays
    await lettersOf(scene, 1)
    await client.queue(jobs).purge() // which makes that of their purges
    const strange: readonly KafkaMessage[] = [
      { value: null },
      { value: 'text' },
      { key: 'nobody', value: '{}', headers: { 'rt-type': 'result', 'rt-id': 'nobody' } },
      { key: Buffer.of(0xff), value: Buffer.of(0xff), headers: { 'rt-topic': 'cancel', 'rt-target': 'nowhere' } },
      { value: 'null', headers: { 'rt-dead-note': 'gone' } },
      { value: '{"kind":"gone","by":"me","offsets":"all"}', headers: { 'rt-dead-note': 'gone' } },
      { value: 'x', headers: { 'rt-topic': `cancel.${queue}` } },
      { value: 'x', headers: { 'rt-topic': `~members.${queue}` } },
      { value: 'x', headers: { 'rt-topic': '~done' } },
    ]
    for (const topic of ['reply', 'ctl', 'delay', 'delay.purges', 'q.default.jobs.v1.dead'])
      await scene.put(`${namespace}.${topic}`, ...strange).catch((error: unknown) => {
        if (!/does not host this topic/.test(String(error))) throw error
      })
    expect(await work({ key: 'after' })).toBe('did after')
    await note.send({ key: 'delayed' }, { delayMs: 1_100 })
    await eventually(() => scene.ledger.runs('delayed') === 1, { what: 'a delay ends' })
    const letters = await allOf(client.queue(jobs).deadLetters.list())
    expect(letters.map(({ method: name }) => name)).toContain('note')
    const kept = work.start({ key: 'kept' }, { keepMs: 60_000 })
    expect(await kept).toBe('did kept')
    expect(await work.attach(kept.id)).toBe('did kept')
  })
})
