import type { Clock } from '../../protocol/clock.ts'
import { ConfigError } from '../../protocol/errors.ts'
import { assertOptionNames } from '../../protocol/option-names.ts'

export interface MemoryOptions {
  /** Clients and workers of one name and process meet. Up to 64 letters, digits, '.', '_' or '-'. @default '' */
  readonly name?: string | undefined
  /** For tests: what its clients and workers and its delays live by. @default that of the process */
  readonly clock?: Clock | undefined
}

export interface ResolvedMemoryOptions {
  readonly name: string
  readonly clock: Clock | undefined
}

/** @throws ConfigError that names the field, its value and its range */
export function resolveMemoryOptions(options: MemoryOptions): ResolvedMemoryOptions {
  assertOptionNames('memory()', options, ['name', 'clock'])
  const name: unknown = options.name ?? ''
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]{0,64}$/.test(name))
    throw new ConfigError(
      `a memory broker's name has up to 64 letters, digits, '.', '_' or '-'; got ${JSON.stringify(name)}`,
    )
  const { clock } = options
  if (clock !== undefined && typeof clock.after !== 'function')
    throw new ConfigError('the clock of memory() must have now(), monotonic() and after()')
  return { name, clock }
}
