import type { AdapterFactory } from '../adapter.ts'
import { createRabbitmqAdapter } from './adapter.ts'
import { resolveRabbitmqOptions, type RabbitmqOptions } from './options.ts'

export type { RabbitmqOptions, RabbitmqTls } from './options.ts'

/**
 * RabbitMQ, 3.10 or newer, by `amqplib`. Throws ConfigError for options that cannot be; a wrong password or virtual host, a
 * missing permission or a server that is too old ends connecting with BROKER_REFUSED.
 */
export function rabbitmq(options: RabbitmqOptions): AdapterFactory {
  const resolved = resolveRabbitmqOptions(options)
  const url = resolved.nodes.map((node) => node.url).join(',')
  return { '~adapter': 'rabbitmq', url, create: () => createRabbitmqAdapter(resolved) }
}
