import { createLane, type Source, type SourceOptions } from './lane.ts'

export function createPartition(options: SourceOptions): Source {
  return createLane(options)
}
