import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePorts } from '../../../scripts/brokers/processes.ts'

/** https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html: ip_local_port_range as it comes. */
const FIRST_OF_OUTGOING = 32_768

test('ports of servers are free, different, and none that an outgoing connection gets while a server is down', async () => {
  const ports = await freePorts(50)
  expect(new Set(ports).size).toBe(50)
  for (const port of ports) {
    expect(port).toBeLessThan(FIRST_OF_OUTGOING)
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    await new Promise((resolve) => server.close(resolve))
  }
})
