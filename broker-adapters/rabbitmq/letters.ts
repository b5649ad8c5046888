import type { BrokerAdapter } from '../adapter.ts'
import type { Session } from './dial.ts'
import type { Storing } from './storing.ts'
import type { WorkQueue } from './topology.ts'

interface Open {
  readonly session: Session
  readonly storing: Storing
}

export function lettersOf(
  _queue: WorkQueue,
  _ask: <T>(work: (open: Open) => Promise<T>) => Promise<T>,
): ReturnType<BrokerAdapter['deadLetters']> {
  throw new Error('not yet')
}
