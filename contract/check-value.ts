import type { StandardSchemaV1 } from '@standard-schema/spec'
import { messageOf } from '../protocol/errors.ts'
import type { Schema } from './types.ts'

export type Checked =
  { readonly value: unknown; readonly issues?: undefined } | { readonly issues: readonly StandardSchemaV1.Issue[] }

/**
 * The boundary to the users' schemas. Gives the parsed value or the issues; a schema that throws is an issue too.
 * Stays synchronous where the schema is. No schema (a contract from a class or interface) checks nothing.
 */
export function checkValue(schema: Schema | undefined, value: unknown): Checked | Promise<Checked> {
  if (schema === undefined) return { value }
  try {
    const result = schema['~standard'].validate(value)
    return result instanceof Promise ? result.then(toChecked).catch(thrownIssue) : toChecked(result)
  } catch (error) {
    return thrownIssue(error)
  }
}

function toChecked(result: StandardSchemaV1.Result<unknown>): Checked {
  return result.issues === undefined ? { value: result.value } : { issues: result.issues }
}

function thrownIssue(error: unknown): Checked {
  return { issues: [{ message: `the schema itself threw: ${messageOf(error)}` }] }
}
