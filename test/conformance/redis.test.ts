import { redis } from '../../broker-adapters/redis/index.ts'
import { describeConformance } from './suite.ts'

const url = process.env['REPLYTO_TEST_REDIS_URL'] ?? ''
describeConformance({
  name: 'redis',
  target: () => redis({ url, lockMs: 3_000, stalledCheckMs: 500 }),
  capabilities: {
    removesQueued: true,
    provesFirstDelivery: true,
    knowsGone: true,
    dedupeMs: 60_000,
    maxKeepMs: 315_360_000_000,
    ackTimeoutMs: undefined,
    recoveryMs: 4_000,
    maxMessageBytes: 16 * 1024 * 1024,
    storedMeans: 'disk within 1 s',
  },
})
