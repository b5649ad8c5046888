// What the tests of keys and their processes share. No test framework here: the processes run it compiled.
import { randomBytes } from 'node:crypto'
import type { BrokerAdapter } from '../../broker-adapters/adapter.ts'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { queueRef } from '../conformance/case-context.ts'

export const KEYED = queueRef({ features: { keyed: true, priority: false, frames: false } })

export async function startAdapter(namespace: string, url: string): Promise<BrokerAdapter> {
  const adapter = rabbitmq({ url }).create()
  await adapter.start({
    namespace,
    processId: `p${randomBytes(8).toString('hex')}`,
    maxPayloadBytes: 1_000_000,
    log: (level, code, message) => {
      if (level === 'error') console.error(code, message)
    },
    now: Date.now,
    onState: () => {},
  })
  return adapter
}
