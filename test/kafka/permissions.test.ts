import { randomBytes } from 'node:crypto'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes, type AclEntry } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import type { AdapterFactory } from '../../broker-adapters/adapter.ts'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { createClient } from '../../client/create-client.ts'
import { defineService } from '../../contract/define-service.ts'
import { method, type } from '../../contract/method.ts'
import { createWorker } from '../../worker/create-worker.ts'
import { allOf, eventually } from '../support/eventually.ts'
import { startKafka, type OwnKafka } from '../support/kafka.ts'
import { SHORT_SESSIONS, small } from './targets.ts'

const { hasPackage } = inject('kafka')

const input = type<{ readonly key: string }>()
const jobs = defineService('jobs', {
  methods: {
    work: method({ input, output: type<string>() }),
    post: method({ input, output: type<string>(), keyed: true }),
    note: method({ input, oneWay: true, retry: { attempts: 1 } }),
    count: method({ input, yields: type<number>() }),
  },
})

/** All that a namespace needs: of its topics, and of its groups. */
const OF_TOPICS = ['CREATE', 'DESCRIBE', 'READ', 'WRITE', 'DELETE', 'DESCRIBE_CONFIGS'] as const
const OF_GROUPS = ['READ', 'DESCRIBE'] as const
/** Without these only a sentence of a log is missing, or pausing and purging. */
const LESSER: readonly string[] = ['topic DELETE', 'topic DESCRIBE_CONFIGS', 'group DESCRIBE']

const RIGHTS = [...OF_TOPICS.map((right) => `topic ${right}`), ...OF_GROUPS.map((right) => `group ${right}`)]
const SECRET = 'topsecret'
const NAMESPACE = `n${randomBytes(5).toString('hex')}`
const userWithout = (right: string): string => `without-${right.toLowerCase().replaceAll(/[ _]/g, '-')}`

function entryOf(user: string, right: string): AclEntry {
  const [kind = '', operation = ''] = right.split(' ')
  return {
    resourceType: kind === 'topic' ? AclResourceTypes.TOPIC : AclResourceTypes.GROUP,
    resourceName: `${NAMESPACE}.`,
    resourcePatternType: ResourcePatternTypes.PREFIXED,
    principal: `User:${user}`,
    host: '*',
    operation: AclOperationTypes[operation as keyof typeof AclOperationTypes], // a name of above
    permissionType: AclPermissionTypes.ALLOW,
  }
}

const LONG_MS = 10_000
/** Less than any time-out that is given here, and than its default. */
const AT_ONCE_MS = 8_000

async function endOf(work: Promise<unknown>): Promise<unknown> {
  const startedAt = performance.now()
  const end = await work.catch((reason: unknown) => reason)
  const isAtOnce = performance.now() - startedAt < AT_ONCE_MS
  expect({ end: String(end), isAtOnce }).toMatchObject({ isAtOnce: true }) // which shows the end
  return end
}

describe.skipIf(!hasPackage)(
  'a server on which users have the rights that they were given',
  { timeout: 60_000 },
  () => {
    let server: OwnKafka
    beforeAll(async () => {
      const users = ['whole', 'none', ...RIGHTS.map(userWithout)]
      server = await startKafka({
        users: Object.fromEntries(users.map((user) => [user, SECRET])),
        hasAcls: true,
        config: SHORT_SESSIONS,
      })
      const acl = [
        ...RIGHTS.map((right) => entryOf('whole', right)),
        ...RIGHTS.flatMap((missing) =>
          RIGHTS.filter((right) => right !== missing).map((right) => entryOf(userWithout(missing), right)),
        ),
      ]
      await server.admin((admin) => admin.createAcls({ acl }))
    }, 90_000)
    afterAll(() => server.end(), 60_000)

    const as = (username: string): AdapterFactory => small(server.url, { sasl: { username, password: SECRET } })

    /** A group of its own, so that no two tests meet in a queue. */
    function makePair(user: string, workersUser = user) {
      const lines: LogLine[] = []
      const log = (line: LogLine): void => void lines.push(line)
      const group = `g${randomBytes(5).toString('hex')}`
      const options = { namespace: NAMESPACE, log, connectTimeoutMs: LONG_MS }
      const client = createClient(as(user), options)
      const worker = createWorker(as(workersUser), { ...options, group }).serve(jobs, {
        work: ({ key }) => key,
        post: ({ key }) => key,
        note({ key }) {
          throw new Error(`no ${key}`)
        },
        async *count() {
          yield* [1, 2, 3]
        },
      })
      onTestFinished(async () => {
        await Promise.all([client, worker].map((one) => one.close({ graceMs: 0 })))
      })
      return {
        client,
        worker,
        lines,
        group,
        stub: client.service(jobs, { group }),
        queue: client.queue(jobs, { group }),
      }
    }
    const call = ({ stub }: ReturnType<typeof makePair>): Promise<string> =>
      stub.work({ key: 'a' }, { timeoutMs: LONG_MS })

    test('those of its topics and groups are enough for everything, and the server denies nothing', async () => {
      const { stub, queue, worker, lines } = makePair('whole')
      await worker.start()
      const { work, post, note, count } = stub
      expect(await work({ key: 'a' })).toBe('a')
      expect(await Promise.all([1, 2, 3].map((n) => post({ key: `${n}` }, { key: 'k' })))).toEqual(['1', '2', '3'])
      expect(await allOf(count({ key: 'a' }))).toEqual([1, 2, 3])
      expect(await work.start({ key: 'kept' }, { keepMs: 60_000 })).toBe('kept')
      await note.send({ key: 'b' }, { delayMs: 1_100 })
      await eventually(async () => (await queue.stats()).dead === 1, { what: 'a dead letter' })
      expect(await queue.deadLetters.replay({})).toEqual({ count: 1 })
      await eventually(async () => (await queue.stats()).dead === 1, { what: 'a dead letter again' })
      expect(await queue.deadLetters.purge({})).toEqual({ count: 1 })
      await queue.pause()
      expect(await queue.stats()).toMatchObject({ isPaused: true })
      await queue.resume()
      await queue.purge()
      expect(await work({ key: 'after' })).toBe('after')
      const told = lines.filter(({ level }) => level === 'error' || level === 'warn')
      expect(new Set(told.map(({ code }) => code))).toEqual(new Set(['HANDLER_FAILED']))
    })

    test('one who has none is refused in one sentence, whoever it is', async () => {
      const pair = makePair('none')
      const ends = await Promise.all([pair.worker.start(), call(pair)].map(endOf))
      for (const end of ends) {
        expect(end).toMatchObject({ code: 'BROKER_REFUSED' })
        expect(String(end)).toMatch(/AUTHORIZATION_FAILED.*(?:kafka-acls|grant)/)
      }
    })

    test('another namespace is out of reach', async () => {
      const other = createClient(as('whole'), { namespace: 'other', log: () => {}, connectTimeoutMs: LONG_MS })
      onTestFinished(() => other.close({ graceMs: 0 }))
      expect(await endOf(other.service(jobs).work({ key: 'a' }, { timeoutMs: LONG_MS }))).toMatchObject({
        code: 'BROKER_REFUSED',
      })
    })

    describe.each(RIGHTS)('without %s: it is not needed, or its lack is named at once', (right) => {
      const [kind = '', operation = ''] = right.split(' ')
      const lack = expect.objectContaining({
        code: 'BROKER_REFUSED',
        message: expect.stringMatching(new RegExp(`${kind}.*(?:${operation}|AUTHORIZATION_FAILED)`, 'is')) as unknown,
      }) as unknown
      const wanted = LESSER.includes(right) ? ['a'] : ['a', lack]

      test('for a client', async () => {
        const pair = makePair(userWithout(right), 'whole')
        await pair.worker.start()
        expect(wanted).toContainEqual(await endOf(call(pair)))
      })

      test('for a worker', async () => {
        const pair = makePair('whole', userWithout(right))
        expect(wanted).toContainEqual(await endOf(pair.worker.start().then(() => call(pair))))
      })
    })
  },
)
