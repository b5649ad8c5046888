import { randomBytes } from 'node:crypto'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../broker-adapters/broker.ts'
import { connect } from '../../broker-adapters/connect.ts'
import { startRedis } from '../support/redis.ts'

const { hasPackage } = inject('redis')

/** What is said by one that connects to a server with these settings. */
async function warningsOf(config: string): Promise<readonly string[]> {
  const server = await startRedis({ config })
  onTestFinished(() => server.end())
  const lines: LogLine[] = []
  const namespace = `w${randomBytes(5).toString('hex')}`
  const broker = await connect(server.url, { namespace, log: (line) => void lines.push(line) })
  onTestFinished(() => broker.close({ graceMs: 0 }))
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  return lines.filter(({ level }) => level === 'warn').map(({ message }) => message)
}

describe.skipIf(!hasPackage)('what a server of these settings may lose is said when it is connected', () => {
  test('nothing is said of one that is set as it should be', async () => {
    expect(await warningsOf('')).toEqual([])
  })

  test.each(['allkeys-lru', 'volatile-ttl'])('maxmemory-policy %s: it may throw keys away', async (policy) => {
    const warnings = await warningsOf(`maxmemory-policy ${policy}`)
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`${policy}.*noeviction|noeviction.*${policy}`))])
  })

  test('no append-only file: a restart loses what was stored', async () => {
    const warnings = await warningsOf('appendonly no')
    expect(warnings).toEqual([expect.stringMatching(/append-?only/i)])
  })

  test('appendfsync no: more than a second may be lost', async () => {
    const warnings = await warningsOf('appendfsync no')
    expect(warnings).toEqual([expect.stringMatching(/appendfsync/)])
  })
})
