import type { AdapterFactory } from '../adapter.ts'
import { createRedisAdapter } from './adapter.ts'
import { resolveRedisOptions, type RedisOptions } from './options.ts'

export type { RedisOptions } from './options.ts'

/**
 * Redis, 6.2 or newer, by `bullmq` and `ioredis`. Throws ConfigError for options that cannot be; a wrong password, a right that
 * is missing, a server that is too old or a replica ends connecting with BROKER_REFUSED.
 */
export function redis(options: RedisOptions): AdapterFactory {
  const resolved = resolveRedisOptions(options)
  const url = resolved.nodes.map(({ shown }) => shown).join(',')
  return { '~adapter': 'redis', url, create: () => createRedisAdapter(resolved) }
}
