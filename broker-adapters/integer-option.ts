import { ConfigError } from '../protocol/errors.ts'
import { describeValue } from '../protocol/redact.ts'

type IntegerOption = (
  field: string,
  value: number | undefined,
  fallback: number,
  range: readonly [min: number, max: number],
) => number

/** Reads the whole numbers among the options of an adapter. Throws ConfigError with field, value, range and advice. */
export function integerOptionOf(adapter: string): IntegerOption {
  return (field, value, fallback, [min, max]) => {
    if (value === undefined) return fallback
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value
    throw new ConfigError(
      `${adapter}: '${field}' must be a whole number from ${min} to ${max}, got ${describeValue(value)}; leave it out for ${fallback}`,
    )
  }
}
