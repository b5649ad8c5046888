import { readFileSync } from 'node:fs'
import { createClient, createWorker, defineService, method, type } from 'replyto'
import { expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startRabbitmq, type OwnRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')
const LIMIT_MS = 150_000

const service = defineService('granted', {
  version: '1.0.0',
  methods: {
    double: method({ input: type<number>(), output: type<number>() }),
    urgent: method({ input: type<number>(), output: type<number>(), priority: true }),
    fail: method({ input: type<number>(), oneWay: true, retry: { attempts: 1 } }),
    note: method({ input: type<number>(), oneWay: true }),
  },
})
const keyed = defineService('granted-keys', {
  version: '1.0.0',
  methods: { add: method({ input: type<number>(), output: type<number>(), keyed: true }) },
})

/** The command of docs/rabbitmq.md for the namespace `replyto`, without `rabbitmqctl`. */
function documentedCommand(user: string): string[] {
  const page = readFileSync(new URL('../../docs/rabbitmq.md', import.meta.url), 'utf8')
  const [, configure = '', write = '', read = ''] =
    /rabbitmqctl set_permissions -p \/ app \\\n\s+'(.+)' \\\n\s+'(.+)' \\\n\s+'(.+)'\n/.exec(page) ?? []
  expect([configure, write, read], 'docs/rabbitmq.md shows the command').not.toContain('')
  return ['set_permissions', '-p', '/', user, configure, write, read]
}

async function startGranted(): Promise<{ readonly server: OwnRabbitmq; readonly url: string }> {
  const server = await startRabbitmq()
  onTestFinished(() => server.end())
  await server.ctl('add_user', 'app', 'secret')
  await server.ctl(...documentedCommand('app'))
  return { server, url: `amqp://app:secret@127.0.0.1:${server.port}` }
}

test.skipIf(!hasPackage)(
  'the permissions of docs/rabbitmq.md are enough for everything, and not for another namespace',
  async () => {
    const { url } = await startGranted()
    const noted: number[] = []
    const worker = createWorker(url)
    worker.serve(service, {
      double: (n) => 2 * n,
      urgent: (n) => 2 * n,
      fail() {
        throw new Error('no')
      },
      note: (n) => void noted.push(n),
    })
    worker.serve(keyed, { add: (n) => n + 1 })
    onTestFinished(() => worker.close({ graceMs: 0 }))
    await worker.start()
    const client = createClient(url)
    onTestFinished(() => client.close({ graceMs: 0 }))
    const stub = client.service(service)

    expect(await stub.double(1)).toBe(2)
    expect(await stub.urgent(1, { priority: 'high' })).toBe(2)
    expect(await client.service(keyed).add(1, { key: 'a' })).toBe(2)
    await stub.note.send(7, { delayMs: 600 })
    await expect.poll(() => noted, { timeout: 10_000 }).toEqual([7])
    const kept = stub.double.start(4, { keepMs: 60_000 })
    expect(await kept).toBe(8)
    expect(await stub.double.attach(kept.id)).toBe(8)

    const queue = client.queue(service)
    await queue.pause()
    expect((await queue.stats()).isPaused).toBe(true)
    await queue.resume()
    await stub.fail.send(1)
    await eventually(async () => (await queue.stats()).dead === 1, { what: 'a dead letter' })
    expect(await queue.deadLetters.replay({})).toEqual({ count: 1 })
    await eventually(async () => (await queue.stats()).dead === 1, { what: 'a dead letter again' })
    expect(await queue.deadLetters.purge({})).toEqual({ count: 1 })

    const other = createClient(url, { namespace: 'other' })
    onTestFinished(() => other.close({ graceMs: 0 }))
    await expect(other.ready()).rejects.toMatchObject({ code: 'BROKER_REFUSED' })
  },
  LIMIT_MS,
)
