import { existsSync } from 'node:fs'
import { expect, inject, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')

test.skipIf(!hasPackage)(
  'a server of a test keeps its data over a stop and a kill, and leaves nothing behind',
  async () => {
    const server = await startRedis({ config: 'hz 11' })
    onTestFinished(() => server.end())
    expect(await server.cli('CONFIG', 'GET', 'hz')).toBe('hz\n11')
    await server.cli('SET', 'killed', 'a')
    await server.kill()
    await expect(server.cli('PING')).rejects.toThrow(/refused/)
    await server.start()
    await server.cli('SET', 'stopped', 'b')
    await server.stop()
    await expect(server.cli('PING')).rejects.toThrow(/refused/)
    await server.start()
    expect(await server.cli('MGET', 'killed', 'stopped')).toBe('a\nb')
    const [, dir = ''] = (await server.cli('CONFIG', 'GET', 'dir')).split('\n')
    await server.end()
    await expect(server.cli('PING')).rejects.toThrow(/refused/)
    expect(existsSync(dir)).toBe(false)
  },
)

test.skipIf(!hasPackage)('a server of a test may be the replica of another, and knows users', async () => {
  const primary = await startRedis({ config: 'user reader on >secret ~* +get' })
  onTestFinished(() => primary.end())
  const replica = await startRedis({ replicaOf: primary })
  onTestFinished(() => replica.end())
  await primary.cli('SET', 'key', 'value')
  await eventually(async () => (await replica.cli('GET', 'key')) === 'value', { what: 'the replica has it' })
  await expect(replica.cli('SET', 'key', 'other')).rejects.toThrow(/READONLY/)
  const asReader = ['--no-auth-warning', '--user', 'reader', '--pass', 'secret']
  expect(await primary.cli(...asReader, 'GET', 'key')).toBe('value')
  await expect(primary.cli(...asReader, 'SET', 'key', 'other')).rejects.toThrow(/NOPERM/)
})

test.skipIf(!hasPackage)('what a server cannot be started with is said, with the end of its log', async () => {
  await expect(startRedis({ config: 'no-such-setting 1' })).rejects.toThrow(/ended while it started.*no-such-setting/s)
})
