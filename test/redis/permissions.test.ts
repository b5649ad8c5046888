import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')
const docs = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8')

/** The rules of docs/redis.md, as they stand there. */
function documentedRules(namespace: string): readonly string[] {
  const [, rules = ''] = /^ACL SETUSER app ([^`]*)```/m.exec(docs) ?? []
  return rules
    .replaceAll('replyto.', `${namespace}.`)
    .split(/[\s\\]+/)
    .filter((rule) => rule !== '')
}

const input = type<{ readonly key: string }>()
const jobs = defineService('jobs', {
  methods: {
    work: method({ input, output: type<string>() }),
    post: method({ input, output: type<string>(), keyed: true }),
    note: method({ input, oneWay: true, retry: { attempts: 1 } }),
    count: method({ input, yields: type<number>() }),
  },
})

test.skipIf(!hasPackage)(
  'a user with the rights of the docs can do everything, and the server denies it nothing',
  async () => {
    const server = await startRedis()
    onTestFinished(() => server.end())
    const namespace = `r${randomBytes(5).toString('hex')}`
    expect(await server.cli('ACL', 'SETUSER', 'app', ...documentedRules(namespace))).toBe('OK')
    const url = `redis://app:secret@127.0.0.1:${server.port}`
    const lines: LogLine[] = []
    const options = { namespace, log: (line: LogLine) => void lines.push(line) }
    const client = createClient(url, options)
    const worker = createWorker(url, options).serve(jobs, {
      work: ({ key }) => key,
      post: ({ key }) => key,
      note({ key }) {
        throw new Error(`no ${key}`)
      },
      async *count() {
        yield* [1, 2, 3]
      },
    })
    onTestFinished(async () => void (await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))))
    await worker.start()
    const { work, post, note, count } = client.service(jobs)
    const queue = client.queue(jobs)

    expect(await work({ key: 'a' })).toBe('a')
    expect(await Promise.all([1, 2, 3].map((n) => post({ key: `${n}` }, { key: 'k' })))).toEqual(['1', '2', '3'])
    expect(await allOf(count({ key: 'a' }))).toEqual([1, 2, 3])
    const kept = work.start({ key: 'kept' }, { keepMs: 60_000 })
    expect(await kept).toBe('kept')
    await note.send({ key: 'b' })
    await eventually(async () => (await queue.stats()).dead === 1)
    expect(await queue.deadLetters.replay({})).toEqual({ count: 1 })
    await eventually(async () => (await queue.stats()).dead === 1)
    expect(await queue.deadLetters.purge({})).toEqual({ count: 1 })
    await queue.pause()
    await note.send({ key: 'later' }, { delayMs: 60_000 })
    expect(await queue.purge()).toEqual({ count: 1 })
    await queue.resume()
    expect(await work({ key: 'after' })).toBe('after')

    const denials = (await server.cli('ACL', 'LOG')).split('\n')
    const denied = denials.filter((_, index) => denials[index - 1] === 'object')
    expect(new Set(denied)).toEqual(new Set(['config|get'])) // asked for, and may be missing
    expect(lines.filter(({ level }) => level === 'error' || level === 'warn').map(({ code }) => code)).toEqual([
      'HANDLER_FAILED',
    ])
  },
)
