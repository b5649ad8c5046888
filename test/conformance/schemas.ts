import type { StandardSchemaV1 } from '@standard-schema/spec'
import { messageOf } from '../../protocol/errors.ts'

/** How each field is read; throws what is wrong with it. */
type Readers<Out> = { readonly [K in keyof Out]: (value: unknown) => Out[K] }

/** A Standard Schema of our own: who runs the suite against an adapter needs no schema library for it. */
export function objectOf<In extends object, Out extends object = In>(readers: Readers<Out>): StandardSchemaV1<In, Out> {
  const fields = Object.entries<(value: unknown) => unknown>(readers)
  return {
    '~standard': {
      version: 1,
      vendor: 'conformance',
      validate(input) {
        const issues: StandardSchemaV1.Issue[] = []
        const output = Object.fromEntries(
          fields.map(([name, read]) => [name, readField(input, { name, read, issues })]),
        )
        return issues.length > 0 ? { issues } : { value: output as Out } // one field per reader
      },
    },
  }
}

function readField(
  input: unknown,
  {
    name,
    read,
    issues,
  }: { readonly name: string; readonly read: (value: unknown) => unknown; readonly issues: StandardSchemaV1.Issue[] },
): unknown {
  try {
    return read(typeof input === 'object' && input !== null ? Reflect.get(input, name) : undefined)
  } catch (error) {
    issues.push({ message: messageOf(error), path: [name] })
    return undefined
  }
}

export function aNumber(value: unknown): number {
  if (typeof value === 'number') return value
  throw new Error(`a number is wanted, not a ${typeof value}`)
}

export function aString(value: unknown): string {
  if (typeof value === 'string') return value
  throw new Error(`a string is wanted, not a ${typeof value}`)
}
