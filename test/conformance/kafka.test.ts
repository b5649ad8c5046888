import { describe, inject, test } from 'vitest'
import { kafka } from '../../broker-adapters/kafka/index.ts'
import { describeConformance } from './suite.ts'

const { url, whyNot } = inject('kafka')

if (url === undefined)
  describe('no server', () => {
    test.skip(`conformance: kafka [${whyNot}]`, () => {})
  })
else
  describeConformance({
    name: 'kafka',
    caseTimeoutMs: 60_000,
    // A few partitions do, and who is cut off is believed to be gone as soon as a server allows it.
    target: () => kafka({ url, partitions: 4, replyPartitions: 2, sessionMs: 6_000 }),
    capabilities: {
      removesQueued: false,
      provesFirstDelivery: false,
      knowsGone: false,
      isPartitioned: true,
      dedupeMs: 0,
      maxKeepMs: 604_800_000,
      ackTimeoutMs: undefined,
      recoveryMs: 6_000,
      maxMessageBytes: 1_040_000,
      storedMeans: 'page cache',
    },
  })
