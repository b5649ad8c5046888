import { expect, onTestFinished, test } from 'vitest'
import { dial } from '../../../broker-adapters/rabbitmq/dial.ts'
import { resolveRabbitmqOptions } from '../../../broker-adapters/rabbitmq/options.ts'
import { startHandshakeServer } from '../../support/handshake-server.ts'

async function dialServer(answer: (opened: number) => 'open' | 'close') {
  const server = await startHandshakeServer({ product: 'RabbitMQ', version: '4.0.0' }, answer)
  onTestFinished(() => server.close())
  const options = resolveRabbitmqOptions({ url: server.url })
  const [node] = options.nodes
  if (node === undefined) throw new Error('one URL is one node')
  return dial(node, options)
}

test.each([
  ['both connections', 2],
  ['one of them', 1],
])('a server that closes %s while they are opened is dialled again, as it is stopping', async (_, closed) => {
  const session = await dialServer((opened) => (opened < closed ? 'close' : 'open'))
  expect(session.isOpen).toBe(true)
  await session.end()
})

test('one that does so again refuses the vhost', async () => {
  await expect(dialServer(() => 'close')).rejects.toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringMatching(/vhost '\/' is missing/) as unknown,
  })
})
