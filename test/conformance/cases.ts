import type { ConformanceCase } from './case.ts'
import { broadcast } from './seam/broadcast.ts'
import { consuming } from './seam/consuming.ts'
import { deadLetters } from './seam/dead-letters.ts'
import { delay } from './seam/delay.ts'
import { inbox } from './seam/inbox.ts'
import { publishing } from './seam/publishing.ts'
import { queues } from './seam/queues.ts'
import { removal } from './seam/removal.ts'
import { settlement } from './seam/settlement.ts'

/** Every case, the seam before the rows that are built on it. */
export const CASES: readonly ConformanceCase[] = [
  ...publishing,
  ...consuming,
  ...settlement,
  ...delay,
  ...inbox,
  ...removal,
  ...deadLetters,
  ...broadcast,
  ...queues,
]
