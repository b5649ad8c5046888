import type { TestBroker } from './broker.ts'
import { createNode, ctl, isInstalled, removeNode, serverOf, type NodeFacts } from './rabbitmq-node.ts'

/** The tests of many namespaces share it, so what none of them uses any more goes by itself. */
const UNUSED_MS = 180_000

export const RABBITMQ: TestBroker = {
  name: 'rabbitmq',
  variable: 'REPLYTO_TEST_RABBITMQ_URL',
  service: 'rabbitmq',
  composeUrl: 'amqp://guest:guest@127.0.0.1:5672',
  packages: ['rabbitmq-server'],
  isInstalled,
  async start(dir) {
    const facts = await createNode({ dir })
    await ctl(facts, 'set_policy', 'unused', '.*', JSON.stringify({ expires: UNUSED_MS }))
    return facts
  },
  isRunning: (facts) => isNode(facts) && serverOf(facts) !== undefined,
  async stop(facts) {
    if (isNode(facts)) await removeNode(facts)
  },
}

/** As it was written to a file. */
function isNode(facts: unknown): facts is NodeFacts {
  return typeof facts === 'object' && facts !== null && 'epmd' in facts && 'dir' in facts && 'name' in facts
}
