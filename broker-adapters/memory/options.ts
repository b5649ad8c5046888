import { ConfigError } from '../../protocol/errors.ts'
import { assertOptionNames } from '../../protocol/option-names.ts'

export interface MemoryOptions {
  /** Clients and workers of one name and process meet. Up to 64 letters, digits, '.', '_' or '-'. @default '' */
  readonly name?: string | undefined
}

/** @throws ConfigError that names the field, its value and its range */
export function resolveMemoryOptions(options: MemoryOptions): { readonly name: string } {
  assertOptionNames('memory()', options, ['name'])
  const name: unknown = options.name ?? ''
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]{0,64}$/.test(name))
    throw new ConfigError(
      `a memory broker's name has up to 64 letters, digits, '.', '_' or '-'; got ${JSON.stringify(name)}`,
    )
  return { name }
}
