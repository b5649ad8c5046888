import type { AdapterFactory } from '../adapter.ts'
import { createMemoryAdapter } from './memory-adapter.ts'
import { resolveMemoryOptions, type MemoryOptions } from './options.ts'

export type { MemoryOptions } from './options.ts'

/**
 * The broker inside this process, for tests: one per name, the rules of every broker, nothing on disk. Throws ConfigError for
 * options that cannot be.
 */
export function memory(options: MemoryOptions = {}): AdapterFactory {
  const { name, clock } = resolveMemoryOptions(options)
  return {
    '~adapter': 'memory',
    url: `memory:${name}`,
    create: () => createMemoryAdapter({ name, clock }),
    '~clock': clock,
  }
}
