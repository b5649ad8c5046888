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
    return 'then' in result ? Promise.resolve(result).then(toChecked).catch(thrownIssue) : toChecked(result)
  } catch (error) {
    return thrownIssue(error)
  }
}

/** Throws for what is no result: a schema with a bug must not end more than its call. */
function toChecked(result: StandardSchemaV1.Result<unknown>): Checked {
  if (result.issues === undefined) return { value: result.value }
  if (!Array.isArray(result.issues) || !result.issues.every(isIssue)) throw new Error('its issues are no issues')
  return { issues: result.issues }
}

function isIssue(issue: unknown): boolean {
  if (typeof issue !== 'object' || issue === null || !('message' in issue)) return false
  return (
    typeof issue.message === 'string' && (!('path' in issue) || issue.path === undefined || Array.isArray(issue.path))
  )
}

function thrownIssue(error: unknown): Checked {
  return { issues: [{ message: `the schema itself threw: ${messageOf(error)}` }] }
}
