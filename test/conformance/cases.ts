import type { ConformanceCase } from './case.ts'
import { anyDelay } from './rows/any-delay.ts'
import { atLeastOnce } from './rows/at-least-once.ts'
import { backPressure } from './rows/back-pressure.ts'
import { badInput } from './rows/bad-input.ts'
import { cancel } from './rows/cancel.ts'
import { counted } from './rows/counted.ts'
import { crashLoop } from './rows/crash-loop.ts'
import { deadLetter } from './rows/dead-letter.ts'
import { deadline } from './rows/deadline.ts'
import { declaredErrors } from './rows/declared-errors.ts'
import { drain } from './rows/drain.ts'
import { duplicates } from './rows/duplicates.ts'
import { durable } from './rows/durable.ts'
import { groups } from './rows/groups.ts'
import { honestErrors } from './rows/honest-errors.ts'
import { keptResults } from './rows/kept-results.ts'
import { nested } from './rows/nested.ts'
import { nobodyListens } from './rows/nobody-listens.ts'
import { oneOutcome } from './rows/one-outcome.ts'
import { orderByKey } from './rows/order-by-key.ts'
import { overrun } from './rows/overrun.ts'
import { pause } from './rows/pause.ts'
import { priority as priorities } from './rows/priority.ts'
import { reconnect } from './rows/reconnect.ts'
import { retry } from './rows/retry.ts'
import { settlement } from './rows/settlement.ts'
import { silentConsumer } from './rows/silent-consumer.ts'
import { versions } from './rows/versions.ts'
import { streamEnds } from './rows/stream-ends.ts'
import { streams } from './rows/streams.ts'
import { broadcast } from './seam/broadcast.ts'
import { consuming } from './seam/consuming.ts'
import { deadLetters } from './seam/dead-letters.ts'
import { delay } from './seam/delay.ts'
import { inbox } from './seam/inbox.ts'
import { keys } from './seam/keys.ts'
import { mailbox } from './seam/mailbox.ts'
import { pausing } from './seam/pausing.ts'
import { priority } from './seam/priority.ts'
import { publishing } from './seam/publishing.ts'
import { queues } from './seam/queues.ts'
import { removal } from './seam/removal.ts'
import { settlement as seamSettlement } from './seam/settlement.ts'

/** Every case: the seam, then the rows that are built on it, in the order of rows.ts. */
export const CASES: readonly ConformanceCase[] = [
  ...publishing,
  ...consuming,
  ...seamSettlement,
  ...delay,
  ...keys,
  ...priority,
  ...inbox,
  ...mailbox,
  ...removal,
  ...deadLetters,
  ...broadcast,
  ...pausing,
  ...queues,

  ...durable,
  ...atLeastOnce,
  ...oneOutcome,
  ...honestErrors,
  ...declaredErrors,
  ...reconnect,
  ...retry,
  ...deadLetter,
  ...settlement,
  ...overrun,
  ...crashLoop,
  ...deadline,
  ...anyDelay,
  ...cancel,
  ...keptResults,
  ...orderByKey,
  ...priorities,
  ...pause,
  ...groups,
  ...versions,
  ...nobodyListens,
  ...backPressure,
  ...drain,
  ...duplicates,
  ...nested,
  ...silentConsumer,
  ...streams,
  ...streamEnds,
  ...counted,
  ...badInput,
]
