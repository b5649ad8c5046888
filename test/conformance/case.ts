import type { Capabilities } from '../../broker-adapters/adapter.ts'
import type { CaseContext } from './case-context.ts'
import type { Invariant, Row, SeamTopic } from './rows.ts'

/** One claim about one rule, run on every broker. */
export interface ConformanceCase {
  /** `<row>: <claim>`; an invariant's is its name. */
  readonly title: string
  readonly row: Row | SeamTopic | 'invariant'
  /** A reason to leave it out on a broker with these capabilities; undefined: it runs. */
  readonly skipOn: (capabilities: Capabilities) => string | undefined
  /** Nothing else may run beside it. */
  readonly isAlone: boolean
  readonly run: (t: CaseContext) => Promise<void>
}

export interface CaseOptions {
  /** Capabilities that must not be false or 0. */
  readonly needs?: 'removesQueued' | 'provesFirstDelivery' | 'knowsGone' | 'dedupeMs' | 'maxKeepMs' | undefined
  /** Capabilities that must not be true. */
  readonly unless?: 'isPartitioned' | undefined
  readonly isAlone?: boolean | undefined
}

/** The cases of one row: claims as sentences, in the order of the file. */
export interface Claims {
  readonly cases: readonly ConformanceCase[]
  readonly claim: (sentence: string, run: ConformanceCase['run'], options?: CaseOptions) => void
}

export function claimsOf(row: Row | SeamTopic): Claims {
  const cases: ConformanceCase[] = []
  return {
    cases,
    claim: (sentence, run, options = {}) => void cases.push(caseOf(row, `${row}: ${sentence}`, { run, ...options })),
  }
}

export function invariant(name: Invariant, run: ConformanceCase['run']): ConformanceCase {
  return caseOf('invariant', name, { run })
}

function caseOf(
  row: ConformanceCase['row'],
  title: string,
  { run, needs, unless, isAlone = false }: CaseOptions & Pick<ConformanceCase, 'run'>,
): ConformanceCase {
  return {
    row,
    title,
    run,
    isAlone,
    skipOn(capabilities) {
      if (needs !== undefined && !capabilities[needs]) return `capability ${needs} is ${String(capabilities[needs])}`
      return unless !== undefined && capabilities[unless] ? `capability ${unless} is true` : undefined
    },
  }
}
