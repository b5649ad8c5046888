import { createMemoryAdapter } from '../../broker-adapters/memory/memory-adapter.ts'
import { describeConformance } from './suite.ts'

describeConformance({
  name: 'memory',
  target: () => ({
    '~adapter': 'memory',
    url: 'memory:conformance',
    create: () => createMemoryAdapter({ name: 'conformance' }),
  }),
  capabilities: {
    removesQueued: true,
    provesFirstDelivery: true,
    knowsGone: true,
    isPartitioned: false,
    dedupeMs: 600_000,
    maxKeepMs: 2_147_483_647,
    ackTimeoutMs: undefined,
    recoveryMs: 0,
    maxMessageBytes: 64 * 1024 * 1024,
    storedMeans: 'memory',
  },
})
