import type { DiskFigures } from './disk.ts'
import type { PairFigures } from './run-pair.ts'
import type { SubjectName } from './subject.ts'

/** All that was measured, run by run. */
export interface BenchFigures {
  readonly broker: string
  /** Of what `subjectsAt` names. */
  readonly runs: Readonly<Partial<Record<SubjectName, readonly PairFigures[]>>>
  readonly disk: readonly DiskFigures[]
}

/** One of a run; undefined where it was not measured. */
export type Figure = (pair: PairFigures) => number | undefined

export function pairsOf({ runs }: BenchFigures, name: SubjectName): readonly PairFigures[] {
  return runs[name] ?? []
}

export function numbers(values: readonly (number | string | undefined)[]): number[] {
  return values.filter((value) => typeof value === 'number')
}
