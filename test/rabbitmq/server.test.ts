import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'amqplib'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import { eventuallyPasses } from '../support/eventually.ts'
import { startRabbitmq } from '../support/rabbitmq.ts'

const { hasPackage } = inject('rabbitmq')

test.skipIf(!hasPackage)(
  'a server of a test keeps its data over a stop and a kill, and leaves nothing behind',
  async () => {
    const temporary = mkdtempSync(join(tmpdir(), 'replyto-own-'))
    vi.stubEnv('TMPDIR', temporary)
    onTestFinished(() => void vi.unstubAllEnvs())
    const server = await startRabbitmq({ config: 'heartbeat = 7' })
    onTestFinished(() => server.end())
    const before = await connect(server.url)
    before.on('error', () => {})
    const channel = await before.createConfirmChannel()
    await channel.assertQueue('kept', { durable: true })
    channel.sendToQueue('kept', Buffer.from('x'), { persistent: true })
    await channel.waitForConfirms()
    // It answers before it has read its queues.
    const keeps = (): Promise<void> =>
      eventuallyPasses(async () => expect(await server.ctl('list_queues', 'name', 'messages')).toContain('kept\t1'))
    await server.kill()
    await expect(connect(server.url)).rejects.toThrow(/ECONN/)
    await server.start()
    await keeps()
    await server.stop()
    await server.start()
    await keeps()
    await server.end()
    expect(readdirSync(temporary)).toEqual([])
    rmdirSync(temporary)
  },
  120_000,
)
