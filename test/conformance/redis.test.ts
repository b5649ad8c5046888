import { describe, inject, test } from 'vitest'
import { redis } from '../../broker-adapters/redis/index.ts'
import { describeConformance } from './suite.ts'

const { url, whyNot } = inject('redis')

if (url === undefined)
  describe('no server', () => {
    test.skip(`conformance: redis [${whyNot}]`, () => {})
  })
else
  describeConformance({
    name: 'redis',
    // Whoever is cut off is believed to be gone after three seconds here.
    target: () => redis({ url, lockMs: 3_000, stalledCheckMs: 500 }),
    capabilities: {
      removesQueued: true,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: 60_000,
      maxKeepMs: 31_536_000_000,
      ackTimeoutMs: undefined,
      recoveryMs: 4_000,
      maxMessageBytes: 16 * 1024 * 1024,
      storedMeans: 'disk within 1 s',
    },
  })
