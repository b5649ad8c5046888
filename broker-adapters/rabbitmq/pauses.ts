import type { AdapterContext } from '../adapter.ts'
import type { Broadcasts } from './broadcasts.ts'
import { countsOf, declareQueue, withChannel } from './channels.ts'
import type { Session } from './dial.ts'
import { pausedShape, type WorkQueue } from './topology.ts'

/** Queues that are paused for everybody: an empty queue at the server is the mark, a broadcast tells those who consume. */
export interface Pauses {
  set(session: Session, queue: WorkQueue, isPaused: boolean): Promise<void>
  isPaused(session: Session, queue: WorkQueue): Promise<boolean>
  /** Before `isPaused` is asked, so that no change is missed. */
  watch(queue: WorkQueue, onChange: (isPaused: boolean) => void): Promise<() => void>
}

export function createPauses(broadcasts: Broadcasts, log: AdapterContext['log']): Pauses {
  return {
    async set(session, queue, isPaused) {
      if (isPaused) await declareQueue(session, pausedShape(queue), log)
      else await withChannel(session, (channel) => channel.deleteQueue(queue.paused))
      broadcasts.send(topicOf(queue), Uint8Array.of(isPaused ? 1 : 0))
    },
    isPaused: async (session, queue) => (await countsOf(session, queue.paused)) !== undefined,
    watch: (queue, onChange) => broadcasts.listen(topicOf(queue), (body) => onChange(body[0] === 1)),
  }
}

function topicOf({ name }: WorkQueue): string {
  return `paused.${name}`
}
