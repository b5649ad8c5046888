import { expect, onTestFinished, test } from 'vitest'
import { connect } from '../../../broker-adapters/connect.ts'
import { startHandshakeServer } from '../../support/handshake-server.ts'

test.each([
  [{ product: 'RabbitMQ', version: '3.9.29' }, /RabbitMQ 3\.9\.29; 3\.10 or newer is needed/],
  [{ product: 'RabbitMQ', version: '2.8' }, /RabbitMQ 2\.8; 3\.10 or newer is needed/],
  [{ product: 'RabbitMQ', version: 'next' }, /RabbitMQ next; 3\.10 or newer is needed/],
  [{ product: 'RabbitMQ' }, /says no version.*RabbitMQ 3\.10 or newer is needed/],
  [{ product: 'Qpid', version: '9.2.0' }, /Qpid 9\.2\.0.*RabbitMQ 3\.10 or newer is needed/],
  [{}, /says no version.*RabbitMQ 3\.10 or newer is needed/],
])('a server that says %j is refused at once, by what is needed', async (properties, advice) => {
  const server = await startHandshakeServer(properties)
  onTestFinished(() => server.close())
  await expect(connect(server.url, { log: () => {} })).rejects.toMatchObject({
    code: 'BROKER_REFUSED',
    message: expect.stringMatching(advice) as unknown,
  })
})
