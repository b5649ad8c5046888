import { rabbitmq } from '../../broker-adapters/rabbitmq/index.ts'
import { describeConformance } from './suite.ts'

const url = process.env['REPLYTO_TEST_RABBITMQ_URL'] ?? 'amqp://127.0.0.1:5699'

describeConformance({
  name: 'rabbitmq',
  target: () => rabbitmq({ url }),
  capabilities: {
    removesQueued: false,
    provesFirstDelivery: true,
    knowsGone: true,
    dedupeMs: 0,
    maxKeepMs: 4_294_967_295,
    ackTimeoutMs: 1_800_000,
    recoveryMs: 0,
    maxMessageBytes: 16 * 1024 * 1024,
    storedMeans: 'disk',
  },
})
