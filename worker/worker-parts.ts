import type { BrokerAdapter } from '../broker-adapters/adapter.ts'
import type { BrokerCore } from '../broker-adapters/broker.ts'
import type { TimerWheel } from '../protocol/timer-wheel.ts'
import type { Limiter } from './limiter.ts'
import type { ResolvedWorkerOptions, WorkerTuning } from './options.ts'
import type { IsReplyAddress } from './reply-addresses.ts'
import type { ReplyOutbox } from './reply-outbox.ts'
import type { StreamGrants } from './stream-grants.ts'
import type { WorkerCount } from './worker-counters.ts'

/** What the parts of one worker share. */
export interface WorkerParts {
  readonly core: BrokerCore
  readonly adapter: BrokerAdapter
  readonly options: ResolvedWorkerOptions
  readonly limiter: Limiter
  readonly outbox: ReplyOutbox
  readonly grants: StreamGrants
  readonly wheel: TimerWheel
  readonly isReplyAddress: IsReplyAddress
  readonly count: (name: WorkerCount) => void
  /** Epoch ms. */
  readonly now: () => number
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number
  readonly tuning: WorkerTuning
}
