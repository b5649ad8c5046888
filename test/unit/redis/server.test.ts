import { expect, test } from 'vitest'
import type { Session } from '../../../broker-adapters/redis/dial.ts'
import { checkServer, readInfo, storedMeans } from '../../../broker-adapters/redis/server.ts'

const GOOD = {
  redis_version: '7.0.15',
  role: 'master',
  maxmemory_policy: 'noeviction',
  aof_enabled: '1',
}
const infoOf = (facts: Readonly<Record<string, string>>): string =>
  `# Server\r\n${Object.entries({ ...GOOD, ...facts })
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('')}`

/** What was logged; rejects as connecting does. */
async function check(facts: Readonly<Record<string, string>>, { hasOthers = false } = {}): Promise<readonly string[]> {
  const codes: string[] = []
  const { appendfsync = 'everysec', ...info } = facts
  const config = (): Promise<readonly string[]> =>
    appendfsync === 'hidden' ? Promise.reject(new Error('NOPERM')) : Promise.resolve(['appendfsync', appendfsync])
  const commands = { info: () => Promise.resolve(infoOf(info)), config }
  const session = { commands } as unknown as Session // all that is asked
  const node = { url: 'redis://h', shown: 'redis://h', username: undefined }
  await checkServer(session, node, { hasOthers, log: (level, code) => void codes.push(`${level} ${code}`) })
  return codes
}

test('a server that keeps what it is given is taken without a word', async () => {
  expect(await check({})).toEqual([])
  expect(await check({ redis_version: '6.2.0' })).toEqual([])
  expect(await check({ redis_version: '8.0.1' })).toEqual([])
})

test.each(['6.0.16', '5.0.7', '', 'x'])('version %j is too old, and that is final', async (redis_version) => {
  await expect(check({ redis_version })).rejects.toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringContaining('6.2 or newer'),
  })
})

test('a replica is refused with what to do; where there are others, they are asked', async () => {
  await expect(check({ role: 'slave' })).rejects.toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringContaining('URL of its primary'),
  })
  await expect(check({ role: 'slave' }, { hasOthers: true })).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' })
})

test.each(['allkeys-lru', 'volatile-ttl'])('maxmemory-policy %s is warned of', async (maxmemory_policy) => {
  expect(await check({ maxmemory_policy })).toEqual(['warn REDIS_EVICTION'])
})

test('without a file that is appended to, or one that nobody writes to the disk, it is said what is lost', async () => {
  expect(await check({ aof_enabled: '0' })).toEqual(['warn REDIS_PERSISTENCE'])
  expect(await check({ appendfsync: 'no' })).toEqual(['warn REDIS_PERSISTENCE'])
  for (const appendfsync of ['everysec', 'always', 'hidden']) expect(await check({ appendfsync })).toEqual([])
})

test.each([
  ['0', 'always', 'memory'],
  ['1', 'always', 'disk'],
  ['1', 'everysec', 'disk within 1 s'],
  ['1', 'no', 'page cache'],
  ['1', undefined, 'disk within 1 s'],
])('aof_enabled %s, appendfsync %s: stored means %s', (aof_enabled, sync, means) => {
  expect(storedMeans(readInfo(infoOf({ aof_enabled }), sync))).toBe(means)
})
