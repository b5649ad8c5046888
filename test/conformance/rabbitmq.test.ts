import { describe, inject, test } from 'vitest'
import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { describeConformance } from './suite.ts'

const { url, whyNot } = inject('rabbitmq')

if (url === undefined)
  describe('no server', () => {
    test.skip(`conformance: rabbitmq [${whyNot}]`, () => {})
  })
else
  describeConformance({
    name: 'rabbitmq',
    // Some cases are sixty confirmed steps, one after the other, at a server that syncs each of them.
    caseTimeoutMs: 60_000,
    target: () => rabbitmq({ url }),
    capabilities: {
      removesQueued: false,
      provesFirstDelivery: true,
      knowsGone: true,
      isPartitioned: false,
      dedupeMs: 0,
      maxKeepMs: 4_294_907_295,
      ackTimeoutMs: 1_800_000,
      recoveryMs: 0,
      maxMessageBytes: 16 * 1024 * 1024,
      storedMeans: 'disk',
    },
  })
