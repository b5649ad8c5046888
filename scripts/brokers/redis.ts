import type { TestBroker } from './broker.ts'
import { createServer, isInstalled, removeServer, serverOf, type ServerFacts } from './redis-server.ts'

export const REDIS: TestBroker = {
  name: 'redis',
  variable: 'REPLYTO_TEST_REDIS_URL',
  service: 'redis',
  composeUrl: 'redis://127.0.0.1:6379',
  packages: ['redis-server'],
  isInstalled,
  start: (dir) => createServer({ dir }),
  isRunning: (facts) => isServer(facts) && serverOf(facts) !== undefined,
  async stop(facts) {
    if (isServer(facts)) await removeServer(facts)
  },
}

/** As it was written to a file. */
function isServer(facts: unknown): facts is ServerFacts {
  return typeof facts === 'object' && facts !== null && 'dir' in facts && 'port' in facts
}
