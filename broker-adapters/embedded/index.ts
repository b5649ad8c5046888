import type { AdapterFactory } from '../adapter.ts'
import { createEmbeddedAdapter } from './adapter.ts'
import { resolveEmbeddedOptions, type EmbeddedOptions } from './options.ts'

export type { EmbeddedOptions } from './options.ts'

/**
 * The broker that needs no server: queues in a directory, shared by the processes of one machine. Throws ConfigError for
 * options that cannot be; where the directory cannot be used, connecting fails with BROKER_REFUSED.
 */
export function embedded(options: EmbeddedOptions): AdapterFactory {
  const resolved = resolveEmbeddedOptions(options)
  return { '~adapter': 'embedded', url: `file:${resolved.dir}`, create: () => createEmbeddedAdapter(resolved) }
}
