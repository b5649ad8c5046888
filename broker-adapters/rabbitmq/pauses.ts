import { BrokerError } from '../../protocol/errors.ts'
import type { Broadcasts } from './broadcasts.ts'
import { countsOf, withChannel } from './channels.ts'
import { openConsumer, type ConsumerChannel } from './consumer-channel.ts'
import type { Session } from './dial.ts'
import type { Connected } from './lane.ts'
import type { WorkQueue } from './topology.ts'

/** Queues that are paused for everybody: a message in a queue of its own is the mark, a broadcast tells those who consume. */
export interface Pauses {
  set(connected: Connected, queue: WorkQueue, isPaused: boolean): Promise<void>
  isPaused(connected: Connected, queue: WorkQueue): Promise<boolean>
  /** Counts as a consumer of the paused queue until it is ended. */
  standBy(connected: Connected, queue: WorkQueue): Promise<ConsumerChannel>
  /** Before `isPaused` is asked, so that no change is missed. */
  watch(queue: WorkQueue, onChange: (isPaused: boolean) => void): Promise<() => void>
}

export function createPauses(broadcasts: Broadcasts): Pauses {
  return {
    async set({ session, publisher }, queue, isPaused) {
      await withChannel(session, (channel) => channel.purgeQueue(queue.paused))
      if (isPaused) {
        const mark = { messageId: queue.name, persistent: true, mandatory: true }
        const { status, reason } = await publisher.publish({ key: queue.paused }, new Uint8Array(0), mark)
        if (status !== 'stored')
          throw new BrokerError('BROKER_UNAVAILABLE', `${queue.name} could not be paused: ${reason ?? status}`)
      }
      broadcasts.send(topicOf(queue), Uint8Array.of(isPaused ? 1 : 0))
      if (isPaused) await isQuiet(session, queue)
    },
    isPaused: async ({ session }, queue) => ((await countsOf(session, queue.paused))?.ready ?? 0) > 0,
    standBy: ({ session }, queue) => openConsumer({ session, queue: queue.idle, prefetch: 1, onOver: () => {} }),
    watch: (queue, onChange) => broadcasts.listen(topicOf(queue), (body) => onChange(body[0] === 1)),
  }
}

/** Until our consumers have left; a stranger's hears no broadcast, and is not waited for for long. */
async function isQuiet(session: Session, { name }: WorkQueue): Promise<void> {
  const until = performance.now() + QUIET_MS
  while (((await countsOf(session, name))?.consumers ?? 0) > 0 && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 5))
}
const QUIET_MS = 2_000

function topicOf({ name }: WorkQueue): string {
  return `paused.${name}`
}
