import type { AdapterFactory } from '../adapter.ts'
import { createKafkaAdapter } from './adapter.ts'
import { resolveKafkaOptions, type KafkaOptions } from './options.ts'

export type { KafkaLogin, KafkaOptions } from './options.ts'

/**
 * Kafka, 2.4 or newer, by `kafkajs`. Throws ConfigError for options that cannot be; a wrong password or a right that is missing
 * ends connecting with BROKER_REFUSED.
 */
export function kafka(options: KafkaOptions): AdapterFactory {
  const resolved = resolveKafkaOptions(options)
  return { '~adapter': 'kafka', url: resolved.url, create: () => createKafkaAdapter(resolved) }
}
