import { ConfigError } from './errors.ts'
import { describeValue } from './redact.ts'

/** A misspelt option would silently be none: another group, no filter, no limit. */
export function assertOptionNames(what: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new ConfigError(`the options of ${what} must be an object; got ${describeValue(options)}`)
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw new ConfigError(`${what} has no option ${JSON.stringify(name)}; known are ${known.join(', ')}`)
  }
}
